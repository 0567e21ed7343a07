"""The pipeline under a dialect that is unlike Snowflake's in all that it may be.

It answers a fixed shape; its body names the workspace, which may be unknown (404); its rows are wrapped; any number of
records may come; a call with a bad record is refused as a whole, and nothing of it is stored. How the Snowflake dialect
goes the same way is tested with that (``tests/ingest_api/snowflake/test_api.py``).
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import FrozenInstanceError, dataclass, fields
from pathlib import Path
from typing import Any, Final
from unittest.mock import create_autospec

import httpx
import msgspec
import pytest
from prometheus_client import REGISTRY
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from access.authentication import Authenticator
from infra.http import api as http_api
from ingest_api.ingestion.dialect import CheckedSource, IngestCall, IngestDialect, IngestResult
from ingest_api.ingestion.json_body import body_fields, flag_of, items_of, members_of, text_of
from ingest_api.ingestion.pipeline import IngestEndpoint, IngestService
from ingest_api.ingestion.publish_and_wait import Ingestion
from ingest_api.ingestion.rates import NO_LIMIT, Rate
from ingest_api.ingestion.sources import Source, Sources
from ingest_api.snowflake.api import snowflake_api
from schemas.errors import HeadraceError, NotFoundError, RequestError
from schemas.messages.updates import ReplyAddress, Transformed
from tests.ingest_api.harness import USER_VIEW, Api, Loopback, api_without_kafka, authorization, documented_plan, stored

PATH: Final = "/rows"
STREAM: Final = "transactions_stream"
RECORD: Final[Mapping[str, object]] = {"timestamp": "2024-01-15T10:30:00Z", "user_id": "u", "amount": 1.5}


class BadRowsError(RequestError):
    """A call with bad records, refused as a whole."""

    def __init__(self, rows: list[tuple[str, int, str]]) -> None:
        super().__init__(f"{len(rows)} bad rows")
        self.rows = rows


@dataclass(frozen=True)
class Asked:
    """What the dialect wants back of a call."""

    note: str


def parse(body: bytes, request: Request) -> IngestCall[Asked]:
    fields = body_fields(body, ("workspace", "rows", "dry"), ("workspace", "rows", "dry"))
    rows = members_of(fields["rows"], "rows", "object of rows by source")
    return IngestCall(
        workspace=text_of(fields["workspace"], "workspace"),
        dry_run=flag_of(fields, "dry"),
        records={name: [row_of(item) for item in items_of(text, name, "array")] for name, text in rows.items()},
        options=Asked(request.query_params.get("note", "")),
    )


def row_of(item: msgspec.Raw) -> msgspec.Raw:
    members = members_of(item, "rows", "object with row")
    if "row" not in members:
        raise RequestError("a row is not wrapped")
    return members["row"]


def find_source(name: str, sources: Sources) -> Source:
    if sources.number < 0:
        raise NotFoundError(f"no workspace {sources.workspace}")
    if name not in sources.by_name:
        raise NotFoundError(f"no source {name}")
    return sources.by_name[name]


def as_they_are(_source: Source) -> Callable[[object], object]:
    return lambda record: record


def admit(call: IngestCall[Asked], checked: Mapping[str, CheckedSource]) -> None:
    rows = [(name, index, code) for name, each in checked.items() for index, (code, _) in each.errors.items()]
    if rows:
        raise BadRowsError(rows)
    if not call.dry_run and not any(each.source and each.source.views for each in checked.values()):
        raise NotFoundError("no view of these sources")


def answer(call: IngestCall[Asked], result: IngestResult, _request_id: str) -> Response:
    counts = {view.name: str(source.total) for source in result.sources.values() for view, _ in source.views}
    return JSONResponse({"workspaceName": result.workspace, "counts": counts, "note": call.options.note})


def refuse(error: HeadraceError, _request_id: str) -> Response:
    if isinstance(error, BadRowsError):
        return JSONResponse({"rows": error.rows}, 400)
    status = 404 if isinstance(error, NotFoundError) else 403
    return JSONResponse({"requestError": {"errorMessage": error.message}}, status)


ROWS: Final = IngestDialect(
    name="rows",
    max_body_bytes=10_000,
    max_record_bytes=1_000,
    names_workspace=True,
    parse=parse,
    find_source=find_source,
    adapter=as_they_are,
    admit=admit,
    answer=answer,
)


def rows_api(service: IngestService) -> http_api.Api:
    route = Route(PATH, IngestEndpoint(service, ROWS).post, methods=["POST"])
    return http_api.Api(name=ROWS.name, prefixes=(PATH,), routes=[route], refuse=refuse)


def call_of(*records: object, workspace: str = "prod", source: str = STREAM, dry: bool = False) -> dict[str, Any]:
    return {"workspace": workspace, "dry": dry, "rows": {source: [{"row": record} for record in records]}}


def with_rows(data: Path, test: Callable[[Api], Awaitable[None]], kafka: Loopback | None = None) -> Loopback:
    """Runs a test against a server of both dialects; returns what came to Kafka."""
    plan = documented_plan()
    there = kafka or Loopback(plan, stored(plan))

    async def run() -> None:
        async with api_without_kafka(data, there, mounts=(snowflake_api, rows_api)) as api:
            await test(api)

    asyncio.run(run())
    return there


def ask(data: Path, body: object, key: str = "editor", path: str = PATH) -> tuple[httpx.Response, Loopback]:
    answers: list[httpx.Response] = []

    async def test(api: Api) -> None:
        answers.append(await api.client.post(path, json=body, headers=authorization(getattr(api.keys, key))))

    kafka = with_rows(data, test)
    return answers[0], kafka


def test_rows_are_stored_and_answered_in_the_shape_of_the_dialect(tmp_path: Path) -> None:
    response, kafka = ask(tmp_path, call_of(*[RECORD] * 12), path=f"{PATH}?note=mine")
    assert response.status_code == 200
    assert response.json() == {"workspaceName": "prod", "counts": {USER_VIEW: "12"}, "note": "mine"}
    assert response.headers["X-Request-ID"].startswith("req_")
    assert len(kafka.published) == 12


def test_a_dry_run_stores_nothing(tmp_path: Path) -> None:
    response, kafka = ask(tmp_path, call_of(RECORD, dry=True), key="viewer")
    assert (response.status_code, response.json()["counts"]) == (200, {USER_VIEW: "1"})
    assert not kafka.published


@pytest.mark.parametrize("dry", [True, False])
def test_one_bad_record_refuses_the_call_and_nothing_is_stored(dry: bool, tmp_path: Path) -> None:
    bad = dict(RECORD) | {"amount": "x"}
    response, kafka = ask(tmp_path, call_of(RECORD, bad, {"x": 1}, dry=dry))
    assert response.status_code == 400
    assert response.json() == {"rows": [[STREAM, 1, "INVALID_FIELD_TYPE"], [STREAM, 2, "MISSING_REQUIRED_FIELD"]]}
    assert not kafka.published


def test_the_limits_are_the_dialects_own(tmp_path: Path) -> None:
    response, _ = ask(tmp_path / "a", call_of(dict(RECORD) | {"user_id": "u" * 1_000}))
    assert response.json() == {"rows": [[STREAM, 0, "RECORD_TOO_LARGE"]]}
    response, _ = ask(tmp_path / "b", call_of(dict(RECORD) | {"user_id": "u" * 10_000}))
    assert "larger than 10000 bytes" in response.json()["requestError"]["errorMessage"]


@pytest.mark.parametrize(
    ("key", "body", "said"),
    [
        ("nobody", b"{", "Not allowed to ingest records in any workspace"),
        ("viewer", call_of(RECORD), "Not allowed to ingest records in workspace 'prod'"),
        ("editor", call_of(RECORD, workspace="dev"), "Not allowed to ingest records in workspace 'dev'"),
        ("elsewhere", call_of(RECORD, workspace="dev"), "no workspace dev"),
        ("elsewhere", b"{", "Request body is not valid JSON"),
        ("editor", call_of(RECORD, source="nope"), "no source nope"),
    ],
)
def test_the_right_is_to_the_workspace_that_the_body_names(key: str, body: object, said: str, tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        response = await api.client.post(PATH, content=content, headers=authorization(getattr(api.keys, key)))
        assert said in response.json()["requestError"]["errorMessage"]

    assert not with_rows(tmp_path, test).published


def test_a_dialect_may_refuse_what_no_view_would_take(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        assert (await api.client.post(PATH, json=call_of(RECORD))).status_code == 404
        assert (await api.client.post(PATH, json=call_of(RECORD, dry=True))).status_code == 200

    plan = documented_plan({})
    assert not with_rows(tmp_path, test, Loopback(plan, stored(plan))).published


def test_each_dialect_answers_for_its_own_paths(tmp_path: Path) -> None:
    async def test(api: Api) -> None:
        assert list((await api.client.get(PATH)).json()) == ["requestError"]
        assert list((await api.client.get("/api/v1/ingest")).json()) == ["error", "request_id"]

    with_rows(tmp_path, test)


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_records_and_time_are_counted_whatever_the_dialect(tmp_path: Path) -> None:
    def outcomes() -> list[float]:
        named = [
            counted("headrace_records_total", workspace="prod", source=STREAM, outcome=outcome)
            for outcome in ("accepted", "rejected", "lost")
        ]
        return [*named, counted("headrace_ack_seconds_count", workspace="prod")]

    before = outcomes()
    plan = documented_plan()

    def lose_first(_topic: str, reply: ReplyAddress) -> list[Any]:
        if reply.index == 0:
            kafka.deliver(reply, "gone")
            return []
        return [Transformed(reply.request, reply.index, [], [])]

    kafka = Loopback(plan, lose_first)

    async def test(api: Api) -> None:
        assert (await api.client.post(PATH, json=call_of(*[RECORD] * 3))).status_code == 200
        assert (await api.ingest({"records": {STREAM: [RECORD, RECORD, {}]}})).status_code == 207
        await api.ingest({"records": {STREAM: [RECORD]}, "dry_run": True})

    with_rows(tmp_path, test, kafka)
    assert [after - first for after, first in zip(outcomes(), before, strict=True)] == [3, 1, 2, 2]


def test_event_times_without_a_zone_are_counted_of_records_that_are_stored(tmp_path: Path) -> None:
    def total() -> float:
        return counted("headrace_records_without_zone_total", workspace="prod", source=STREAM)

    before = total()
    plan = documented_plan()

    def lose_first(_topic: str, reply: ReplyAddress) -> list[Any]:
        if reply.index == 0:
            kafka.deliver(reply, "gone")
            return []
        return [Transformed(reply.request, reply.index, [], [])]

    kafka = Loopback(plan, lose_first)
    local = {**RECORD, "timestamp": "2024-01-15T10:30:00"}

    async def test(api: Api) -> None:
        call = {"records": {STREAM: [local, local, RECORD, local, {}]}, "include_diagnostics": True}
        assert (await api.ingest(call)).json()["diagnostics"]["notices"][0]["count"] == 2
        await api.ingest({"records": {STREAM: [local]}, "dry_run": True})

    with_rows(tmp_path, test, kafka)
    assert total() - before == 2


def test_calls_of_a_workspace_that_is_not_there_are_counted_under_no_name(tmp_path: Path) -> None:
    before = counted("headrace_ack_seconds_count", workspace="")

    async def test(api: Api) -> None:
        await api.ingest({"records": {STREAM: [RECORD]}}, **authorization(api.keys.elsewhere))

    with_rows(tmp_path, test)
    assert counted("headrace_ack_seconds_count", workspace="") == before + 1
    assert REGISTRY.get_sample_value("headrace_ack_seconds_count", {"workspace": "dev"}) is None


def test_a_dialect_gets_what_all_share_and_cannot_change_it() -> None:
    authenticator, ingestion = create_autospec(Authenticator), create_autospec(Ingestion)
    service = IngestService(authenticator, ingestion, "prod", "here")
    assert (service.authenticator, service.ingestion) == (authenticator, ingestion)
    assert (service.default_workspace, service.installation) == ("prod", "here")
    for field in fields(service):
        with pytest.raises(FrozenInstanceError):
            setattr(service, field.name, None)


def refusals(
    data: Path, kafka: Loopback, *calls: tuple[Any, str], account: Rate = NO_LIMIT, source: Rate = NO_LIMIT
) -> list[str]:
    """Sends calls with the keys of these names; returns what each is refused with, empty if it is let in."""
    found = []

    async def run() -> None:
        async with api_without_kafka(data, kafka, account_rate=account, source_rate=source) as api:
            for body, name in calls:
                response = await api.ingest(body, **authorization(getattr(api.keys, name)))
                assert (response.status_code, response.headers.get("Retry-After")) in ((200, None), (429, "3"))
                found.append("" if response.status_code == 200 else response.json()["error"]["message"])

    asyncio.run(run())
    return found


FOUR: Final[dict[str, Any]] = {"records": {STREAM: [RECORD] * 4}}
DRY: Final[dict[str, Any]] = FOUR | {"dry_run": True}
CLICK: Final = {"timestamp": "2024-01-15T10:30:00Z", "session_id": "s", "page": "p", "duration_ms": 1}


def test_an_account_that_has_used_up_its_rate_waits_and_no_other_does(tmp_path: Path) -> None:
    kafka = Loopback(documented_plan(), stored(documented_plan()))
    calls = ((FOUR, "editor"), (FOUR, "editor"), (DRY, "editor"), (DRY, "viewer"))
    first, again, dry, other = refusals(tmp_path, kafka, *calls, account=Rate(1, "Account", lambda: 0.0))
    assert (first, other) == ("", "")
    for refused in (again, dry):
        assert re.fullmatch(r"Account '.+' may send 1 records a second, and has sent them; try again in 3 s", refused)
    assert len(kafka.published) == 4


def test_a_source_that_has_used_up_its_rate_waits_and_neither_others_nor_dry_runs_do(tmp_path: Path) -> None:
    kafka = Loopback(documented_plan(), stored(documented_plan()))
    both = {"records": {"clickstream_events": [CLICK], STREAM: [RECORD]}}
    clicks = {"records": {"clickstream_events": [CLICK] * 4}}
    calls = [(each, "editor") for each in (FOUR, FOUR, DRY, both, clicks)]
    found = refusals(tmp_path, kafka, *calls, source=Rate(1, "Source", lambda: 0.0))
    refused = "Source 'prod/transactions_stream' may send 1 records a second, and has sent them; try again in 3 s"
    assert found == ["", refused, "", refused, ""]
    assert len(kafka.published) == 8
