import asyncio

import httpx
import pytest
import structlog
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from ingest_api.request_context import ID_BYTES, MAX_CHARACTERS, UNKNOWN_ROUTE, RequestContext, request_id

PATH = "/context/{name}"


def echo(request: Request) -> Response:
    """Answers with the id that handlers see, and the one in the log."""
    logged = structlog.contextvars.get_contextvars()["request_id"]
    return Response(f"{request_id(request)} {logged}", 201, {"X-Other": "kept"})


APP = Starlette(routes=[Route(PATH, echo)], middleware=[Middleware(RequestContext)])


def ask(path: str = "/context/a", headers: list[tuple[bytes, bytes]] | None = None) -> httpx.Response:
    async def scenario() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(APP), base_url="http://ingest") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(scenario())


def counted(route: str, status: str) -> float:
    labels = {"route": route, "status": status}
    return REGISTRY.get_sample_value("headrace_http_requests_total", labels) or 0.0


@pytest.mark.parametrize("chosen", [b"mine", b"a b", b"x" * MAX_CHARACTERS])
def test_the_callers_id_is_in_the_answer_the_handler_and_the_log(chosen: bytes) -> None:
    answer = ask(headers=[(b"X-Request-ID", chosen)])
    assert answer.headers["x-request-id"] == chosen.decode()
    assert answer.text == f"{chosen.decode()} {chosen.decode()}"
    assert (answer.status_code, answer.headers["x-other"]) == (201, "kept")


@pytest.mark.parametrize("chosen", [b"", b"x" * (MAX_CHARACTERS + 1), b"caf\xc3\xa9", b"a\tb"])
def test_an_id_that_cannot_stand_in_a_header_and_a_line_is_replaced(chosen: bytes) -> None:
    answer = ask(headers=[(b"X-Request-ID", chosen)])
    made = answer.headers["x-request-id"]
    assert made.startswith("req_")
    assert answer.text == f"{made} {made}"


def test_ids_of_ours_differ() -> None:
    made = {ask().headers["x-request-id"] for _ in range(5)}
    assert len(made) == 5
    assert {len(each) for each in made} == {len("req_") + 2 * ID_BYTES}


def test_the_first_id_that_fits_counts() -> None:
    answer = ask(headers=[(b"X-Request-ID", b""), (b"X-Request-ID", b"second"), (b"X-Request-ID", b"third")])
    assert answer.headers["x-request-id"] == "second"


def test_requests_are_counted_by_route_and_not_by_what_callers_put_into_it() -> None:
    known, unknown = counted(PATH, "201"), counted(UNKNOWN_ROUTE, "404")
    for path in ("/context/a", "/context/b", "/nowhere/1", "/nowhere/2"):
        ask(path)
    assert (counted(PATH, "201"), counted(UNKNOWN_ROUTE, "404")) == (known + 2, unknown + 2)


def test_the_answer_to_one_that_no_route_took_has_an_id_too() -> None:
    assert ask("/nowhere", [(b"X-Request-ID", b"mine")]).headers["x-request-id"] == "mine"


def test_each_request_is_logged_under_its_own_id_alone() -> None:
    seen: dict[str, str] = {}

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        await asyncio.sleep(0)  # the other one begins meanwhile
        seen[scope["path"]] = structlog.contextvars.get_contextvars()["request_id"]

    async def nothing(_message: Message) -> None:
        pytest.fail("no answer was made")

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def scenario() -> None:
        context = RequestContext(app)
        scopes = [{"type": "http", "path": each, "headers": [(b"x-request-id", each.encode())]} for each in "ab"]
        await asyncio.gather(*(asyncio.create_task(context(scope, receive, nothing)) for scope in scopes))

    asyncio.run(scenario())
    assert seen == {"a": "a", "b": "b"}
