"""Each family of an ingest server answers all that goes wrong in its own shape, over a socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from access.authentication import Authenticator
from access.store.accounts import AccessStore
from infra.http.operations import operations_api
from infra.http.server import HttpServer
from infra.process.ports import LOOPBACK
from ingest_api.ingestion.answers import Answers
from ingest_api.ingestion.pipeline import IngestService
from ingest_api.ingestion.publish_and_wait import Ingestion
from ingest_api.registry.routes import CONTENT_TYPE, registry_api
from ingest_api.registry.subject_rights import SubjectRights
from ingest_api.snowflake.api import snowflake_api
from ingest_api.tecton.api import tecton_api
from schemas.errors import UnavailableError
from schemas.limits import MAX_INGEST_BODY_BYTES, MAX_REGISTRY_BODY_BYTES
from tests.ingest_api.harness import (
    INSTALLATION,
    WORKSPACE,
    Keys,
    Loopback,
    authorization,
    documented_plan,
    make_keys,
    stored,
)

RECORDS = {"records": {"transactions_stream": [{"timestamp": "2024-01-15T10:30:00Z", "user_id": "u", "amount": 1.5}]}}
SCHEMA = {"schema": '"string"'}
DEADLINE_SECONDS = 60.0


@dataclass
class Registry:
    """A schema registry that fails as a test says."""

    problem: Exception | None = None

    def register(self, _subject: str, _schema: str, _timeout_seconds: float) -> tuple[int, str]:
        if self.problem is not None:
            raise self.problem
        return 1, "guid"


@dataclass(frozen=True)
class Family:
    """How to call one family, and how it answers.

    Attributes:
        path: of a call that succeeds with ``body``.
        body: of that call.
        limit_bytes: of its bodies.
        content_type: of its answers.
        codes: by status, in an error's body.
        code_of: finds the code in it.
    """

    path: str
    body: object
    limit_bytes: int
    content_type: str
    codes: dict[int, object]
    code_of: Callable[[Any], object]


SNOWFLAKE = Family(
    "/api/v1/ingest",
    RECORDS,
    MAX_INGEST_BODY_BYTES,
    "application/json",
    {
        401: "UNAUTHENTICATED",
        404: "NOT_FOUND",
        405: "INVALID_ARGUMENT",
        413: "TOO_LARGE",
        429: "RESOURCE_EXHAUSTED",
        500: "INTERNAL",
        503: "UNAVAILABLE",
    },
    lambda content: content["error"]["code"],
)
TECTON = Family(
    "/ingest",
    {
        "workspaceName": WORKSPACE,
        "dryRun": False,
        "records": {"transactions_stream": [{"record": RECORDS["records"]["transactions_stream"][0]}]},
    },
    MAX_INGEST_BODY_BYTES,
    "application/json",
    {
        401: "AuthenticationError",
        404: "RequestValidationError",
        405: "RequestValidationError",
        413: "RequestValidationError",
        429: "ResourceExhaustedError",
        500: "InternalError",
        503: "UnavailableError",
    },
    lambda content: content["requestError"]["errorType"],
)
REGISTRY = Family(
    "/subjects/s/versions",
    SCHEMA,
    MAX_REGISTRY_BODY_BYTES,
    CONTENT_TYPE,
    {401: 401, 404: 404, 405: 405, 413: 413, 429: 429, 500: 50001, 503: 50003},
    lambda content: content["error_code"],
)
FAMILIES = pytest.mark.parametrize("family", [SNOWFLAKE, TECTON, REGISTRY], ids=["snowflake", "tecton", "registry"])


@dataclass(frozen=True)
class Server:
    """All families on a socket, with a client whose key may do all."""

    client: httpx.AsyncClient
    port: int
    kafka: Loopback
    registry: Registry
    keys: Keys

    def fail(self, problem: Exception) -> None:
        self.kafka.refused = self.registry.problem = problem


@contextlib.asynccontextmanager
async def served(data: Path, limit_concurrency: int) -> AsyncIterator[Server]:
    store = AccessStore.open(data)
    keys = make_keys(store)
    plan = documented_plan()
    kafka, registry = Loopback(plan, stored(plan)), Registry()
    kafka.answers = Answers(5.0)
    ingestion = Ingestion(kafka, kafka, kafka, kafka.answers, INSTALLATION)
    ingestion.complete = True
    authenticator = Authenticator(store)

    async def rights(header: str | None) -> SubjectRights:
        return SubjectRights(await authenticator.authenticate(header), WORKSPACE)

    service = IngestService(authenticator, ingestion, WORKSPACE, INSTALLATION)
    apis = [
        snowflake_api(service),
        tecton_api(service),
        registry_api(cast("Any", registry), rights),
        operations_api("ingest", dict),
    ]
    server = HttpServer(apis, LOOPBACK, 0, limit_concurrency=limit_concurrency)
    await server.start()
    try:
        async with httpx.AsyncClient(
            base_url=server.url, headers=authorization(keys.editor), trust_env=False
        ) as client:
            yield Server(client, server.port, kafka, registry, keys)
    finally:
        await server.stop()
        authenticator.close()
        store.close()


def with_server(data: Path, test: Callable[[Server], Awaitable[None]], limit_concurrency: int = 16) -> None:
    async def run() -> None:
        async with asyncio.timeout(DEADLINE_SECONDS), served(data, limit_concurrency) as server:
            await test(server)

    asyncio.run(run())


def check(family: Family, answer: httpx.Response, status: int) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (status, family.content_type)
    assert family.code_of(answer.json()) == family.codes[status]
    assert answer.headers["x-request-id"] == "mine"


MINE = {"X-Request-ID": "mine"}


@FAMILIES
def test_what_goes_wrong_is_answered_in_the_familys_shape(family: Family, tmp_path: Path) -> None:
    async def test(server: Server) -> None:
        client = server.client
        fine = await client.post(family.path, json=family.body, headers=MINE)
        assert (fine.status_code, fine.headers["x-request-id"]) == (200, "mine")
        check(family, await client.post(family.path, json=family.body, headers={**MINE, "Authorization": ""}), 401)
        check(family, await client.post(f"{family.path}/nothing/here", headers=MINE), 404)
        check(family, await client.put(family.path, headers=MINE), 405)
        large = b" " * (family.limit_bytes + 1)
        check(family, await client.post(family.path, content=large, headers=MINE), 413)
        server.fail(UnavailableError("Kafka is away"))
        away = await client.post(family.path, json=family.body, headers=MINE)
        check(family, away, 503)
        assert away.headers["retry-after"] == "1"
        server.fail(ZeroDivisionError("a secret of the inside"))
        broken = await client.post(family.path, json=family.body, headers=MINE)
        check(family, broken, 500)
        assert "secret" not in broken.text

    with_server(tmp_path, test)


@FAMILIES
def test_the_servers_own_limit_refuses_in_the_familys_shape_and_lets_probes_through(
    family: Family, tmp_path: Path
) -> None:
    async def test(server: Server) -> None:
        reader, writer = await asyncio.open_connection(LOOPBACK, server.port)
        key = authorization(server.keys.editor)["Authorization"]
        # A call whose body does not end is in work until its connection closes.
        writer.write(
            f"POST {SNOWFLAKE.path} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nContent-Length: 9\r\n\r\n{{".encode()
        )
        await writer.drain()
        refused = await server.client.post(family.path, json=family.body, headers=MINE)
        while refused.status_code == 200:  # the call before is not in work yet
            refused = await server.client.post(family.path, json=family.body, headers=MINE)
        check(family, refused, 429)
        assert refused.headers["retry-after"] == "1"
        probe = await server.client.get("/healthz", headers=MINE)
        assert (probe.status_code, probe.headers["x-request-id"]) == (200, "mine")
        writer.close()
        await writer.wait_closed()
        del reader

    with_server(tmp_path, test, limit_concurrency=1)


@pytest.mark.parametrize(
    "path", [SNOWFLAKE.path, TECTON.path, REGISTRY.path, "/healthz", "/readyz", "/metrics", "/nowhere"]
)
def test_every_answer_has_an_id_also_where_the_caller_sends_none(path: str, tmp_path: Path) -> None:
    async def test(server: Server) -> None:
        assert (await server.client.get(path)).headers["x-request-id"].startswith("req_")

    with_server(tmp_path, test)


def test_what_is_described_is_what_is_served() -> None:
    service = IngestService(cast("Any", None), cast("Any", None), WORKSPACE, INSTALLATION)
    for mount, paths in ((snowflake_api, [SNOWFLAKE.path]), (tecton_api, ["/ingest", "/v2/ingest"])):
        assert {path: sorted(item) for path, item in mount(service).openapi.items()} == {
            path: ["post"] for path in paths
        }
