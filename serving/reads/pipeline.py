"""The way of a read, from its request to its answer, whatever the dialect: each route is an ASGI application.

1. Who calls (401)?
2. Its body, within size and time; of one caller a bounded number may come slowly (429).
3. Is there room (429)?
4. The form of the body, as far as the workspace (400).
5. May the caller read there (403)? Before anything tells whether it exists.
6. The rest of the request (400).
7. The service (404).
8. Its join keys (400).
9. Online state (503).
10. Count, and answer.

Invariant: from 3 on there is no await, so what one request reads is of one moment, and a request in work is one whose
body is there and whose caller has not taken the answer: callers that send slowly keep nobody else out. What is refused
is raised; the API of the route answers it (`infra.http.api`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter
from typing import Final

from prometheus_client import Histogram
from starlette.types import Receive, Scope, Send

from access.authentication import Authenticator, Principal
from access.roles import Action
from infra.http.api import Api
from infra.http.request_body import Arrivals, read_body
from infra.http.request_context import note_workspace, noted_workspace
from infra.metrics import READ_SECONDS
from schemas.errors import ForbiddenError, NotFoundError, OverloadedError, UnavailableError
from schemas.limits import MAX_READS, MAX_READS_ARRIVING
from serving.reads.dialect import ReadCall, ReadDialect
from serving.reads.metering import Meter
from serving.reads.service import ServedService, Services
from serving.reads.state import OnlineState, PartitionState

SERIES_KEPT: Final = 1024
"""Histograms of route and workspace that are kept at hand."""


@lru_cache(SERIES_KEPT)
def _seconds(route: str, workspace: str) -> Histogram:
    return READ_SECONDS.labels(route, workspace)


class ReadPipeline:
    """What all routes that read share; for use by one event loop.

    Args:
        services: what can be read.
        state: where it is read from.
        authenticator: knows the callers.
        default_workspace: of callers that name none and are bound to none.
        clock: µs since the epoch.
    """

    def __init__(
        self,
        services: Services,
        state: OnlineState,
        authenticator: Authenticator,
        default_workspace: str,
        clock: Callable[[], int],
    ) -> None:
        self.authenticator = authenticator
        self.arrivals = Arrivals(MAX_READS_ARRIVING)
        self._services = services
        self._state = state
        self._default_workspace = default_workspace
        self._clock = clock
        self._in_work = 0

    def answer(self, dialect: ReadDialect, scope: Scope, principal: Principal, body: bytes, started: float) -> bytes:
        """Returns the body of the answer to a request: 4 to 10.

        Args:
            dialect: that the request is in.
            scope: of the request; its workspace is noted there once it is known to exist.
            principal: who calls.
            body: of the request.
            started: when it came, by ``perf_counter``.

        Raises:
            RequestError: refused; see the order of checks above.
            UnavailableError: online state or definitions are not there yet.
        """
        outline = dialect.outline(scope, body)
        workspace = outline.workspace or principal.default_workspace or self._default_workspace
        if not principal.may(Action.READ_FEATURES, workspace):
            raise ForbiddenError(
                f"Not Authorized: reading features of workspace {workspace} needs the role consumer, editor or owner"
            )
        call = outline.call()
        service = self._find(dialect, workspace, call)
        note_workspace(scope, workspace)
        compiled = service.of(dialect)
        keys = compiled.keys(call.asked)
        now = self._clock()
        meter = Meter() if call.is_metered else None

        def open_partition(number: int) -> PartitionState:
            return self._state.open(workspace, number)

        opener = open_partition if meter is None else meter.opener(open_partition)
        reads = [service.plan.read(opener, key, now, call.edge, is_explained=call.is_explained) for key in keys]
        for answers in reads:
            service.observe(answers, now)
        return compiled.encode(call.asked, reads, meter, perf_counter() - started)

    @contextmanager
    def working(self, dialect: ReadDialect) -> Iterator[None]:
        """Counts a request as in work.

        Raises:
            OverloadedError: too many are.
        """
        if self._in_work >= MAX_READS:
            raise OverloadedError(dialect.too_many)
        self._in_work += 1
        try:
            yield
        finally:
            self._in_work -= 1

    def _find(self, dialect: ReadDialect, workspace: str, call: ReadCall) -> ServedService:
        try:
            return self._services.find(workspace, call.service, call.service_id)
        except (NotFoundError, UnavailableError) as error:
            named = call.service or call.service_id or ""
            raise type(error)(f"{dialect.about(workspace, named)}: {error.message}") from None


class ReadRoute:
    """One route that reads: an ASGI application, as a request object would cost as much as a read of one key.

    Args:
        pipeline: of the process.
        dialect: that the route speaks.
        path: of the route, for metrics.
    """

    def __init__(self, pipeline: ReadPipeline, dialect: ReadDialect, path: str) -> None:
        self._pipeline = pipeline
        self._dialect = dialect
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        started = perf_counter()
        pipeline, dialect = self._pipeline, self._dialect
        try:
            principal = await pipeline.authenticator.authenticate(_authorization(scope))
            with pipeline.arrivals.of(principal.id) as seconds:
                body = await read_body(receive, dialect.max_body_bytes, dialect.advice, seconds)
            if body is None:
                return
            with pipeline.working(dialect):
                await _send(send, pipeline.answer(dialect, scope, principal, body, started))
        finally:
            _seconds(self._path, noted_workspace(scope)).observe(perf_counter() - started)


@dataclass(frozen=True, slots=True)
class ReadApi:
    """An API that reads, as the serving process takes it up: an entry in its list.

    Attributes:
        dialects: that services are compiled for.
        mount: returns the API, over the process's pipeline.
    """

    dialects: tuple[ReadDialect, ...]
    mount: Callable[[ReadPipeline], Api]


def _authorization(scope: Scope) -> str | None:
    for key, value in scope["headers"]:
        if key == b"authorization":
            text: str = value.decode("latin-1")
            return text
    return None


async def _send(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
