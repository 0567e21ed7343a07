"""The way of a read in a dialect of the tests' own: join keys in the query, one line for each value."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from prometheus_client import REGISTRY
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Scope
from typing_extensions import override

from access.authentication import Authenticator
from access.roles import Role
from infra.http.api import Api
from infra.http.dispatch import Dispatcher
from schemas.errors import HeadraceError, RequestError, UnauthenticatedError
from schemas.state.keys import JoinKey
from serving.reads.dialect import DialectService, Outline, ReadCall, ReadDialect
from serving.reads.metering import Meter
from serving.reads.pipeline import ReadApi, ReadPipeline, ReadRoute
from serving.reads.read_plan import LeadingEdge, ReadPlan, ViewAnswer
from serving.reads.service import Services
from serving.tecton.api import TECTON
from tests.serving.world import INSTALLATION, NOON, World, Writer, plan_of, service_text, view_text

PATH = "/lines"
NEWEST = 'schema=[Field("user_id", String), Field("at", Timestamp), Field("site", String)]'
PLAN = plan_of(view_text("newest", NEWEST) + service_text("s", "newest_V1"))


class LinesService(DialectService):
    def __init__(self, plan: ReadPlan) -> None:
        self.names = [name for name, _ in plan.features()]

    @override
    def keys(self, asked: Any) -> Sequence[Sequence[JoinKey]]:
        return [[user] for user in asked]

    @override
    def encode(self, asked: Any, reads: Sequence[Sequence[ViewAnswer]], meter: Meter | None, seconds: float) -> bytes:
        size = 0 if meter is None else meter.size
        lines = [
            f"{user} {name} {value}"
            for user, answers in zip(asked, reads, strict=True)
            for name, value in zip(self.names, [v for each in answers for v in each.values.values], strict=True)
        ]
        return "\n".join([*lines, f"{size > 0} {seconds > 0}"]).encode()


@dataclass(frozen=True)
class LinesOutline(Outline):
    query: dict[str, list[str]]

    @property
    @override
    def workspace(self) -> str | None:
        return self.query.get("workspace", [None])[0]

    @override
    def call(self) -> ReadCall:
        if "user" not in self.query:
            raise RequestError("user is missing in the query")
        service, metered = self.query["service"][0], "metered" in self.query
        return ReadCall(
            service, None, LeadingEdge.WALL_CLOCK, is_metered=metered, is_explained=False, asked=self.query["user"]
        )


def outline(scope: Scope, _body: bytes) -> LinesOutline:
    return LinesOutline(parse_qs(scope["query_string"].decode()))


LINES_DIALECT = ReadDialect(
    name="lines",
    max_body_bytes=10,
    advice="send none",
    too_many="later",
    outline=outline,
    compile=LinesService,
    about=lambda workspace, service: f"{workspace}/{service}",
)


def refuse(error: HeadraceError, _request_id: str) -> Response:
    status = 401 if isinstance(error, UnauthenticatedError) else 400
    return PlainTextResponse(f"{type(error).__name__}: {error.message}", status)


def mount(pipeline: ReadPipeline) -> Api:
    routes = [Route(PATH, ReadRoute(pipeline, LINES_DIALECT, PATH))]
    return Api(name="lines", prefixes=(PATH,), routes=routes, refuse=refuse)


LINES = ReadApi((LINES_DIALECT,), mount)


def asked(
    data: Path, query: str, *, role: Role = Role.CONSUMER, body: bytes = b"", apis: tuple[ReadApi, ...] = ()
) -> str:
    """Returns what a server of both APIs answers to a GET, after its status."""
    with Writer(data, PLAN) as writer:
        for user in ("ann", "bob"):
            writer.write("newest@V1", {"user_id": user, "at": NOON - 1, "site": f"{user}'s"})
    world = World(data, PLAN)
    both = apis or (TECTON, LINES)
    services = Services(world.definitions, [each for api in both for each in api.dialects], INSTALLATION)
    services.refresh()
    services.complete = True
    pipeline = ReadPipeline(services, world.state, Authenticator(world.access), "prod", lambda: NOON)
    app = Dispatcher([TECTON.mount(pipeline), mount(pipeline)], limit_concurrency=10)

    async def scenario() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://serving") as client:
            headers = {"Authorization": f"Tecton-key {world.key(role)}"}
            return await client.request("GET", f"{PATH}?{query}", headers=headers, content=body)

    try:
        answer = asyncio.run(scenario())
    finally:
        world.state.close()
        world.access.close()
    return f"{answer.status_code} {answer.text}"


def test_a_dialect_reads_several_keys_in_one_request(tmp_path: Path) -> None:
    lines = asked(tmp_path, "service=s&user=ann&user=bob").splitlines()
    assert lines == ["200 ann newest.site ann's", "bob newest.site bob's", "False True"]


def test_reads_are_metered_for_who_asks(tmp_path: Path) -> None:
    assert asked(tmp_path, "service=s&user=ann&metered=1").endswith("True True")


@pytest.mark.parametrize(
    ("query", "refusal"),
    [
        ("service=s", "RequestError: user is missing in the query"),
        ("service=x&user=ann", "NotFoundError: prod/x: there is no such service; known are: s"),
        ("service=s&user=ann&workspace=dev", "ForbiddenError: Not Authorized: reading features of workspace dev"),
    ],
)
def test_what_is_refused_is_refused_in_the_dialects_own_shape(tmp_path: Path, query: str, refusal: str) -> None:
    assert asked(tmp_path, query).startswith(f"400 {refusal}")


def test_the_role_counts_before_the_rest_is_looked_at(tmp_path: Path) -> None:
    assert asked(tmp_path, "", role=Role.VIEWER).startswith("400 ForbiddenError")


def test_a_body_beyond_the_dialects_limit_is_refused(tmp_path: Path) -> None:
    assert asked(tmp_path, "", body=b"x" * 11).startswith("400 TooLargeError")


def test_a_service_that_the_dialect_was_not_compiled_for_is_unavailable(tmp_path: Path) -> None:
    found = asked(tmp_path, "service=s&user=ann", apis=(TECTON,))
    assert found == "400 UnavailableError: prod/s: it is not compiled for this API"


def test_reads_are_timed_by_route_and_by_workspaces_that_exist(tmp_path: Path) -> None:
    def counted(workspace: str) -> float:
        labels = {"route": PATH, "workspace": workspace}
        return REGISTRY.get_sample_value("headrace_read_seconds_count", labels) or 0.0

    known, refused = counted("prod"), counted("")
    asked(tmp_path, "service=s&user=ann")
    asked(tmp_path / "more", "service=s&user=ann&workspace=made_up")
    assert (counted("prod"), counted(""), counted("made_up")) == (known + 1, refused + 1, 0.0)
