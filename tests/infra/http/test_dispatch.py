import asyncio
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from infra.http.api import Api
from infra.http.dispatch import Dispatcher
from schemas.errors import ForbiddenError, HeadraceError


class Held:
    """Endpoints of which one waits until it is let go, one refuses, one breaks, and one breaks in mid-answer."""

    def __init__(self) -> None:
        self.entered = asyncio.Semaphore(0)
        self.go = asyncio.Event()

    async def held(self, _request: Request) -> Response:
        self.entered.release()
        await self.go.wait()
        return PlainTextResponse("done")

    async def refused(self, _request: Request) -> Response:
        raise ForbiddenError("not you")

    async def broken(self, _request: Request) -> Response:
        raise LookupError("a secret of the inside")

    async def half(self, _request: Request) -> Response:
        def parts() -> Iterator[bytes]:
            yield b"one"
            raise ForbiddenError("too late")

        return StreamingResponse(parts())

    def api(self, name: str, *prefixes: str) -> Api:
        def refuse(error: HeadraceError, request_id: str) -> Response:
            return PlainTextResponse(f"{name} {type(error).__name__} {error.message} {request_id}", 418)

        endpoints = {"held": self.held, "refused": self.refused, "broken": self.broken, "half": self.half}
        routes = [
            Route(f"{prefix}/{last}", each, methods=["POST", "GET"])
            for prefix in prefixes
            for last, each in endpoints.items()
        ]
        return Api(name=name, prefixes=prefixes, routes=routes, refuse=refuse)


def client(app: Dispatcher) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://x", headers={"X-Request-ID": "mine"})


def ask(app: Dispatcher, path: str, method: str = "GET") -> httpx.Response:
    async def scenario() -> httpx.Response:
        async with client(app) as caller:
            return await caller.request(method, path)

    return asyncio.run(scenario())


def both() -> Dispatcher:
    held = Held()
    return Dispatcher([held.api("a", "/a"), held.api("b", "/b", "/a/deep")], limit_concurrency=10)


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("/a", "a"),
        ("/a/refused", "a"),
        ("/a/deeper", "a"),
        ("/a/deep", "b"),
        ("/a/deep/refused", "b"),
        ("/b/x", "b"),
        ("/bb", "a"),
        ("/", "a"),
        ("", "a"),
    ],
)
def test_the_longest_prefix_owns_a_path_and_the_first_api_what_is_nobodys(path: str, owner: str) -> None:
    assert both().api_of(path).name == owner


def test_two_apis_cannot_own_one_prefix() -> None:
    held = Held()
    with pytest.raises(ValueError, match="own one prefix"):
        Dispatcher([held.api("a", "/a"), held.api("b", "/a")], limit_concurrency=1)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/a/refused", "a ForbiddenError not you mine"),
        ("/b/refused", "b ForbiddenError not you mine"),
        ("/b/nowhere", "b UnknownPathError there is nothing at /b/nowhere mine"),
        ("/nowhere", "a UnknownPathError there is nothing at /nowhere mine"),
        ("/b/refused/", "b UnknownPathError there is nothing at /b/refused/ mine"),
    ],
)
def test_what_goes_wrong_is_answered_by_the_api_that_owns_the_path(path: str, text: str) -> None:
    answer = ask(both(), path)
    assert (answer.status_code, answer.text, answer.headers["x-request-id"]) == (418, text, "mine")


def test_a_method_that_a_path_does_not_have_is_refused_with_those_that_it_has() -> None:
    answer = ask(both(), "/b/held", "DELETE")
    assert answer.text == "b UnknownMethodError DELETE is not allowed at /b/held mine"
    assert {each.strip() for each in answer.headers["allow"].split(",")} == {"GET", "HEAD", "POST"}


def test_an_unexpected_error_tells_callers_where_to_look_and_nothing_else() -> None:
    answer = ask(both(), "/b/broken")
    assert answer.text == "b HeadraceError internal error; the server's log has more under request_id mine mine"


def test_an_answer_that_has_begun_gets_no_second_one() -> None:
    with pytest.raises(ForbiddenError, match="too late"):
        ask(both(), "/a/half")


def test_one_too_many_is_refused_by_its_api_and_probes_are_not() -> None:
    held = Held()
    probes = replace(held.api("probes", "/probes"), is_always_answered=True)

    async def scenario() -> None:
        app = Dispatcher([held.api("a", "/a"), held.api("b", "/b"), probes], limit_concurrency=2)
        async with client(app) as caller:
            first = [asyncio.create_task(caller.get(path)) for path in ("/a/held", "/b/held")]
            for _ in first:
                await held.entered.acquire()
            full = "OverloadedError 2 requests are in work, which is the limit; try again mine"
            assert [(await caller.get(f"/{name}/held")).text for name in "ab"] == [f"a {full}", f"b {full}"]
            probe = asyncio.create_task(caller.get("/probes/held"))
            await held.entered.acquire()
            held.go.set()
            assert [(await answer).text for answer in (*first, probe)] == ["done"] * 3
            # A place is free again, also after a request that was refused or broke.
            for path in ("/a/refused", "/a/broken", "/a/nowhere") * 2:
                assert (await caller.get(path)).status_code == 418
            assert (await caller.get("/a/held")).text == "done"

    asyncio.run(scenario())
