import asyncio

import httpx
import pytest
import structlog
from prometheus_client import REGISTRY
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.http.api import Api
from infra.http.dispatch import Dispatcher
from infra.http.request_context import (
    UNKNOWN_ROUTE,
    begin_request,
    note_workspace,
    request_id,
)
from schemas.limits import MAX_REQUEST_ID_CHARACTERS

PATH = "/context/{name}"


def echo(request: Request) -> Response:
    """Answers with the id that handlers see, and the one in the log."""
    if request.query_params:
        note_workspace(request.scope, request.query_params["workspace"])
    logged = structlog.contextvars.get_contextvars()["request_id"]
    return Response(f"{request_id(request.scope)} {logged}", 201, {"X-Other": "kept"})


APP = Dispatcher(
    [
        Api(
            name="echo",
            prefixes=("/context",),
            routes=[Route(PATH, echo)],
            refuse=lambda error, _request: Response(error.message, 404),
        )
    ],
    limit_concurrency=10,
)


def ask(path: str = "/context/a", headers: list[tuple[bytes, bytes]] | None = None) -> httpx.Response:
    async def scenario() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(APP), base_url="http://ingest") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(scenario())


def counted(route: str, status: str, workspace: str = "") -> float:
    labels = {"route": route, "status": status, "workspace": workspace}
    return REGISTRY.get_sample_value("headrace_http_requests_total", labels) or 0.0


@pytest.mark.parametrize("chosen", [b"mine", b"a b", b"x" * MAX_REQUEST_ID_CHARACTERS])
def test_the_callers_id_is_in_the_answer_the_handler_and_the_log(chosen: bytes) -> None:
    answer = ask(headers=[(b"X-Request-ID", chosen)])
    assert answer.headers["x-request-id"] == chosen.decode()
    assert answer.text == f"{chosen.decode()} {chosen.decode()}"
    assert (answer.status_code, answer.headers["x-other"]) == (201, "kept")


@pytest.mark.parametrize("chosen", [b"", b"x" * (MAX_REQUEST_ID_CHARACTERS + 1), b"caf\xc3\xa9", b"a\tb"])
def test_an_id_that_cannot_stand_in_a_header_and_a_line_is_replaced(chosen: bytes) -> None:
    answer = ask(headers=[(b"X-Request-ID", chosen)])
    made = answer.headers["x-request-id"]
    assert made.startswith("req_")
    assert answer.text == f"{made} {made}"


def test_ids_of_ours_differ() -> None:
    made = {ask().headers["x-request-id"] for _ in range(5)}
    assert len(made) == 5
    assert {len(each) for each in made} == {len("req_") + 26}


def test_the_first_id_that_fits_counts() -> None:
    answer = ask(headers=[(b"X-Request-ID", b""), (b"X-Request-ID", b"second"), (b"X-Request-ID", b"third")])
    assert answer.headers["x-request-id"] == "second"


def test_requests_are_counted_by_route_and_not_by_what_callers_put_into_it() -> None:
    known, unknown = counted(PATH, "201"), counted(UNKNOWN_ROUTE, "404")
    for path in ("/context/a", "/context/b", "/nowhere/1", "/nowhere/2"):
        ask(path)
    assert (counted(PATH, "201"), counted(UNKNOWN_ROUTE, "404")) == (known + 2, unknown + 2)


def test_requests_are_counted_for_the_workspace_that_their_endpoint_notes() -> None:
    before = counted(PATH, "201", "dev")
    ask("/context/a?workspace=dev")
    assert counted(PATH, "201", "dev") == before + 1


def test_the_answer_to_one_that_no_route_took_has_an_id_too() -> None:
    assert ask("/nowhere", [(b"X-Request-ID", b"mine")]).headers["x-request-id"] == "mine"


def test_each_request_is_logged_under_its_own_id_alone() -> None:
    seen: dict[str, str] = {}

    async def one(name: str) -> None:
        begin_request({"type": "http", "path": name, "headers": [(b"x-request-id", name.encode())]})
        await asyncio.sleep(0)  # the other one begins meanwhile
        seen[name] = structlog.contextvars.get_contextvars()["request_id"]

    async def scenario() -> None:
        await asyncio.gather(*(asyncio.create_task(one(name)) for name in "ab"))

    asyncio.run(scenario())
    assert seen == {"a": "a", "b": "b"}
