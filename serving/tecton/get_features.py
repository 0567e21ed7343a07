"""``POST /api/v1/feature-service/get-features`` as an ASGI application of its own: the hot route.

Order of checks: 1. who calls (401); 2. the body's size and arrival (400; 429 if many of the caller's are slow), then
too many at once (429); 3. the body's form (400); 4. the role in the workspace that it names (403), before anything
tells whether that exists; 5. the rest of the request (400); 6. the service (404); 7. its join keys (400); 8. online
state (503).

Invariant: from 3 on there is no await, so what one request reads is of one moment, and a request in work is one whose
body is there and whose caller has not taken the answer: callers that send slowly keep nobody else out.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from access.authentication import Authenticator, Principal
from access.roles import Action
from infra.http.api import Api
from infra.http.paths import GET_FEATURES
from infra.http.request_body import Arrivals, read_body
from infra.metrics import OUT_OF_RANGE_VALUES, READ_SECONDS, SERVED_VALUE_AGE_SECONDS
from schemas.errors import ForbiddenError, OverloadedError
from schemas.instants import SECOND
from schemas.limits import MAX_READ_BODY_BYTES, MAX_READS, MAX_READS_ARRIVING
from serving.reads.metering import Meter
from serving.reads.read_plan import ReadPlan, ViewAnswer
from serving.reads.service import Services
from serving.reads.state import OnlineState, PartitionState
from serving.tecton.errors import error_response
from serving.tecton.join_keys import JoinKeys
from serving.tecton.requests import parse_get_features, parse_params
from serving.tecton.responses import Responses, slo_info


def tecton_api(get_features: "GetFeaturesEndpoint") -> Api:
    """Returns the API of the dialect.

    Args:
        get_features: its endpoint.
    """
    routes = [Route(GET_FEATURES, get_features, methods=["POST"])]
    return Api(name="tecton-features", prefixes=(GET_FEATURES,), routes=routes, refuse=error_response)


class TectonService:
    """A feature service with all that this dialect needs of it; compiled once.

    Args:
        plan: how it is read.
    """

    def __init__(self, plan: ReadPlan) -> None:
        self.plan = plan
        self.join_keys = JoinKeys(plan.join_keys)
        self.responses = Responses(plan)
        self._ages = [SERVED_VALUE_AGE_SECONDS.labels(plan.workspace, read.view.key) for read in plan.views]

    def observe_ages(self, answers: Iterable[ViewAnswer], now: int) -> None:
        """Counts how old, by event time, the newest event behind each view's values is; ``now`` in µs."""
        for age, answer in zip(self._ages, answers, strict=True):
            if answer.watermark is not None:
                age.observe((now - answer.watermark) / SECOND)

    def count_out_of_range(self, answers: Iterable[ViewAnswer]) -> None:
        """Counts the sums that are null only because they do not fit in 64 bits."""
        for read, answer in zip(self.plan.views, answers, strict=True):
            for position in answer.values.out_of_range:
                feature = read.view.features[position].name
                OUT_OF_RANGE_VALUES.labels(self.plan.workspace, read.view.key, feature).inc()


class GetFeaturesEndpoint:
    """The endpoint.

    Args:
        services: what can be read.
        state: where it is read from.
        authenticator: knows the callers.
        default_workspace: of callers that name none and are bound to none.
        clock: µs since the epoch.
    """

    def __init__(
        self,
        services: Services[TectonService],
        state: OnlineState,
        authenticator: Authenticator,
        default_workspace: str,
        clock: Callable[[], int],
    ) -> None:
        self._services = services
        self._state = state
        self._authenticator = authenticator
        self._default_workspace = default_workspace
        self._clock = clock
        self._in_work = 0
        self._arrivals = Arrivals(MAX_READS_ARRIVING)
        self._seconds = READ_SECONDS.labels(GET_FEATURES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        started = perf_counter()
        try:
            principal = self._authenticator.authenticate(_header(scope, b"authorization"))
            with self._arrivals.of(principal.id) as seconds:
                content = await read_body(receive, MAX_READ_BODY_BYTES, "send a smaller request context", seconds)
            if content is None:
                return
            with self._working():
                await _send(send, self.answer(principal, content, started))
        finally:
            self._seconds.observe(perf_counter() - started)

    def answer(self, principal: Principal, content: bytes, started: float) -> bytes:
        """Returns the body of the answer to a request.

        Args:
            principal: who calls.
            content: the request's body.
            started: when it came, by ``perf_counter``.

        Raises:
            RequestError: refused; see the order of checks above.
            UnavailableError: online state or definitions are not there yet.
        """
        params = parse_params(content)
        workspace = params.text("workspaceName") or principal.default_workspace or self._default_workspace
        if not principal.may(Action.READ_FEATURES, workspace):
            raise ForbiddenError(
                f"Not Authorized: reading features of workspace {workspace} needs the role consumer, editor or owner"
            )
        request = parse_get_features(params)
        service = self._services.find(workspace, request.service)
        join_keys = service.join_keys.decode(request.join_keys)
        now = self._clock()
        meter = Meter() if request.wanted.slo_info else None

        def open_partition(number: int) -> PartitionState:
            return self._state.open(workspace, number)

        opener = open_partition if meter is None else meter.opener(open_partition)
        answers = service.plan.read(opener, join_keys, now, request.edge)
        service.observe_ages(answers, now)
        service.count_out_of_range(answers)
        slo = None if meter is None else slo_info(meter, perf_counter() - started)
        return service.responses.encode(request, answers, slo)

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Counts a request as in work."""
        if self._in_work >= MAX_READS:
            raise OverloadedError("GetFeaturesEndpoint exceeded the concurrent request limit")
        self._in_work += 1
        try:
            yield
        finally:
            self._in_work -= 1


def _header(scope: Scope, name: bytes) -> str | None:
    """Returns a header's value; ASGI gives names in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return None


async def _send(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
