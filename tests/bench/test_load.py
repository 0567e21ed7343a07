import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator

import pytest

from bench.harness import BenchmarkError
from bench.load import closed_loop, connections, features_request, ingest_request, open_loop, run_loop

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answering(status: int, pieces: int = 1) -> Handler:
    """Returns a server that answers each request with its own body, in several pieces."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _head(reader):
            length = int(head.lower().partition(b"content-length:")[2].split()[0])
            body = await reader.readexactly(length)
            answer = b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body
            size = -(-len(answer) // pieces)
            for start in range(0, len(answer), size):
                writer.write(answer[start : start + size])
                await writer.drain()
        writer.close()
        await writer.wait_closed()

    return handle


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


class Server:
    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._tasks: list[asyncio.Future[None]] = []

    async def __aenter__(self) -> str:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._tasks.append(asyncio.ensure_future(self._handler(reader, writer)))

        self._server = await asyncio.start_server(accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        await asyncio.gather(*self._tasks)


def requests(count: int) -> Iterator[bytes]:
    return (ingest_request("key", "clicks", {"number": number}) for number in range(count))


def test_answers_come_back_whole_whatever_pieces_they_arrive_in() -> None:
    async def run() -> object:
        async with Server(answering(200, pieces=7)) as url, connections(url, 1) as (connection,):
            return (await connection.ask(features_request("key", "s", {"user_id": "u"}))).document()

    params = {"workspaceName": "prod", "featureServiceName": "s", "joinKeyMap": {"user_id": "u"}}
    assert run_loop(run()) == {"params": params}


def test_a_closed_loop_sends_each_request_once() -> None:
    async def run() -> list[float]:
        async with Server(answering(200)) as url:
            return await closed_loop(url, 3, requests(20), seconds=30)

    assert len(run_loop(run())) == 20


def test_an_open_loop_sends_each_request_once() -> None:
    async def run() -> list[float]:
        async with Server(answering(200)) as url:
            return await open_loop(url, 4, list(requests(20)), per_second=2_000)

    assert len(run_loop(run())) == 20


def test_an_answer_other_than_200_stops_the_load() -> None:
    async def run() -> None:
        async with Server(answering(503)) as url:
            await closed_loop(url, 1, requests(5), seconds=30)

    with pytest.raises(BenchmarkError, match="503"):
        run_loop(run())


def test_an_ingest_request_is_one_record_in_the_documented_envelope() -> None:
    head, _, body = ingest_request("key", "clicks", {"number": 1}).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/v1/ingest HTTP/1.1\r\n")
    assert json.loads(body) == {"records": {"clicks": [{"number": 1}]}}
