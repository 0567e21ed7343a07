"""A lean HTTP client for load: keep-alive connections, requests made beforehand, just enough parsing.

Invariant: one request at a time per connection; the time of an answer is taken when its last byte is here. It runs in
the benchmark's own process, apart from the servers it measures.
"""

import asyncio
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast
from urllib.parse import urlsplit

import uvloop
from typing_extensions import override

from bench.harness import BenchmarkError
from infra.http.paths import GET_FEATURES, INGEST
from infra.process.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

OK = 200
T = TypeVar("T")


_END_OF_HEADERS = b"\r\n\r\n"
_LENGTH = b"content-length:"


class Answer(NamedTuple):
    """An HTTP response."""

    status: int
    body: bytes

    def document(self) -> Any:
        """Returns the JSON in the body.

        Raises:
            BenchmarkError: the status is not 200.
        """
        if self.status != OK:
            raise BenchmarkError(f"HTTP status {self.status}: {self.body[:1000].decode(errors='replace')}")
        return json.loads(self.body)


def post(path: str, key: str, document: Any) -> bytes:
    """Returns the bytes of a request with a JSON body."""
    body = json.dumps(document, separators=(",", ":")).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Tecton-key {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def ingest_request(key: str, source: str, record: dict[str, Any]) -> bytes:
    """Returns a request that ingests one record."""
    return post(INGEST, key, {"records": {source: [record]}})


def features_request(key: str, service: str, join_keys: dict[str, Any]) -> bytes:
    """Returns a request for the features of one entity."""
    params = {"workspaceName": "prod", "featureServiceName": service, "joinKeyMap": join_keys}
    return post(GET_FEATURES, key, {"params": params})


class Connection(asyncio.Protocol):
    """One connection; ``ask`` waits for the answer."""

    def __init__(self) -> None:
        self._buffer = b""
        self._waiting: asyncio.Future[Answer] | None = None
        self._transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is of no class of asyncio's

    @override
    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(_END_OF_HEADERS)
        if head < 0 or self._waiting is None:
            return
        headers = self._buffer[:head].lower()
        at = headers.find(_LENGTH) + len(_LENGTH)
        length = int(headers[at:].split(b"\r\n", 1)[0])
        body = self._buffer[head + len(_END_OF_HEADERS) :]
        if len(body) >= length:
            self._buffer = b""
            self._waiting.set_result(Answer(int(headers[9:12]), body))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(BenchmarkError(f"the server closed a connection: {exc}"))

    async def ask(self, request: bytes) -> Answer:
        """Sends a request and returns its answer."""
        assert self._transport is not None, "connected by the event loop"
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiting

    def close(self) -> None:
        """Closes the connection."""
        if self._transport is not None:
            self._transport.close()


@asynccontextmanager
async def connections(url: str, count: int) -> "AsyncIterator[list[Connection]]":
    """Opens connections to a server and closes them at the end."""
    address = urlsplit(url)
    loop = asyncio.get_running_loop()
    opened: list[Connection] = []
    try:
        for _ in range(count):
            _, connection = await loop.create_connection(Connection, address.hostname or LOOPBACK, address.port or 80)
            opened.append(connection)
        yield opened
    finally:
        for connection in opened:
            connection.close()


async def closed_loop(url: str, count: int, requests: Iterable[bytes], seconds: float) -> list[float]:
    """Has each connection ask as soon as it has its answer; returns the seconds that each answer took.

    Args:
        url: of the server.
        count: how many connections.
        requests: shared by all connections; the load ends with them, or
        seconds: after this time, whatever comes first.

    Raises:
        BenchmarkError: an answer other than 200.
    """
    latencies: list[float] = []
    shared = iter(requests)
    end = time.perf_counter() + seconds

    async def work(connection: Connection) -> None:
        for request in shared:
            started = time.perf_counter()
            answer = await connection.ask(request)
            ended = time.perf_counter()
            latencies.append(ended - started)
            if answer.status != OK:
                answer.document()
            if ended > end:
                return

    async with connections(url, count) as opened:
        await asyncio.gather(*map(work, opened))
    return latencies


async def open_loop(url: str, count: int, requests: Sequence[bytes], per_second: float) -> list[float]:
    """Sends requests at fixed times, whatever becomes of those before; returns the seconds from each one's time.

    A request that finds all connections taken waits, and its wait counts: no delay is left out.

    Args:
        url: of the server.
        count: how many connections.
        requests: what to send.
        per_second: how many of them.

    Raises:
        BenchmarkError: an answer other than 200.
    """
    latencies: list[float] = []
    free: asyncio.Queue[Connection] = asyncio.Queue()

    async def send(request: bytes, due: float) -> None:
        connection = await free.get()
        answer = await connection.ask(request)
        latencies.append(time.perf_counter() - due)
        free.put_nowait(connection)
        answer.document()

    async with connections(url, count) as opened, asyncio.TaskGroup() as tasks:
        for connection in opened:
            free.put_nowait(connection)
        started = time.perf_counter()
        for number, request in enumerate(requests):
            due = started + number / per_second
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            tasks.create_task(send(request, due))
    return latencies


def cycle(requests: Sequence[bytes]) -> Iterator[bytes]:
    """Yields requests over and over."""
    while True:
        yield from requests


def run_loop(work: "Coroutine[Any, Any, T]") -> T:
    """Runs load on an event loop of its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
