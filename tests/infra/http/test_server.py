import asyncio
import signal
import socket
from dataclasses import replace

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from infra.http.api import Api
from infra.http.operations import operations_api
from infra.http.server import HttpServer, bind, reachable_host
from schemas.errors import NotFoundError, SettingsError
from schemas.limits import CONNECTIONS_PER_REQUEST


class Held:
    """APIs with an endpoint whose requests wait until they are let go, one of which is always answered."""

    def __init__(self) -> None:
        self.entered = asyncio.Semaphore(0)
        self.go = asyncio.Event()
        held = Api(
            name="held",
            prefixes=("/held",),
            routes=[Route("/held", self.held)],
            refuse=lambda error, _request: PlainTextResponse(
                error.code, 404 if isinstance(error, NotFoundError) else 503
            ),
        )
        always = replace(
            held, name="always", prefixes=("/always",), routes=[Route("/always", self.held)], is_always_answered=True
        )
        self.apis = [held, always, operations_api("held", dict)]

    async def held(self, _request: Request) -> Response:
        self.entered.release()
        await self.go.wait()
        return PlainTextResponse("done")


def test_port_zero_is_bound_to_a_free_port_that_the_url_names() -> None:
    async def scenario() -> None:
        server = HttpServer(Held().apis, "127.0.0.1", 0, limit_concurrency=4)
        await server.start()
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{server.url}/healthz")
        assert (server.port > 0, answer.json()) == (True, {"status": "ok"})
        await server.stop()
        await server.stop()
        bind("127.0.0.1", server.port).close()

    asyncio.run(scenario())


def test_signal_handlers_are_left_alone() -> None:
    async def scenario() -> None:
        before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
        server = HttpServer(Held().apis, "127.0.0.1", 0, limit_concurrency=4)
        await server.start()
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
        await server.stop()

    asyncio.run(scenario())


def test_a_request_too_many_is_refused_and_probes_are_not() -> None:
    async def scenario() -> None:
        held = Held()
        server = HttpServer(held.apis, "127.0.0.1", 0, limit_concurrency=2)
        await server.start()
        async with httpx.AsyncClient(trust_env=False, base_url=server.url) as client:
            first = [asyncio.create_task(client.get("/held")) for _ in range(2)]
            for _ in first:
                await held.entered.acquire()
            refused = await client.get("/held")
            assert (refused.status_code, refused.text) == (503, "RESOURCE_EXHAUSTED")
            assert (await client.get("/readyz")).status_code == 200
            held.go.set()
            assert [(await answer).text for answer in first] == ["done", "done"]
            assert (await client.get("/held")).text == "done"
        await server.stop()

    asyncio.run(scenario())


def test_connections_that_are_only_held_keep_nobody_out() -> None:
    async def scenario() -> None:
        server = HttpServer(Held().apis, "127.0.0.1", 0, limit_concurrency=1)
        await server.start()
        held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3 * CONNECTIONS_PER_REQUEST)]
        async with httpx.AsyncClient(trust_env=False, base_url=server.url) as client:
            for path in ("/healthz", "/nothing"):
                assert (await client.get(path)).status_code == (200 if path == "/healthz" else 404)
        await server.stop()
        for reader, writer in held:
            assert await reader.read() == b""
            writer.close()

    asyncio.run(scenario())


def test_a_connection_too_many_is_closed_while_all_others_are_in_work() -> None:
    async def scenario() -> None:
        held = Held()
        server = HttpServer(held.apis, "127.0.0.1", 0, limit_concurrency=CONNECTIONS_PER_REQUEST)
        server_limit = CONNECTIONS_PER_REQUEST**2
        await server.start()
        limits = httpx.Limits(max_connections=server_limit + 1)
        async with httpx.AsyncClient(trust_env=False, base_url=server.url, limits=limits) as client:
            busy = [asyncio.create_task(client.get("/always")) for _ in range(server_limit)]
            for _ in busy:
                await held.entered.acquire()
            with pytest.raises(httpx.TransportError):
                await client.get("/always")
            held.go.set()
            assert [(await answer).text for answer in busy] == ["done"] * server_limit
        await server.stop()

    asyncio.run(scenario())


def test_stopping_lets_requests_in_work_end() -> None:
    async def scenario() -> None:
        held = Held()
        server = HttpServer(held.apis, "127.0.0.1", 0, limit_concurrency=2)
        await server.start()
        async with httpx.AsyncClient(trust_env=False, base_url=server.url) as client:
            answer = asyncio.create_task(client.get("/held"))
            await held.entered.acquire()
            stopping = asyncio.create_task(server.stop())
            await asyncio.sleep(0)
            held.go.set()
            assert (await answer).text == "done"
        await stopping

    asyncio.run(scenario())


def test_a_taken_port_is_named_with_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = HttpServer(Held().apis, "127.0.0.1", port, limit_concurrency=2)
        with pytest.raises(SettingsError, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*port 0"):
            asyncio.run(server.start())


@pytest.mark.parametrize(
    ("host", "reachable"),
    [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("localhost", "localhost")],  # noqa: S104 - compared only
)
def test_a_url_names_an_address_that_can_be_reached(host: str, reachable: str) -> None:
    assert reachable_host(host) == reachable
