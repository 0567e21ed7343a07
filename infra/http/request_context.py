"""What every request gets, whatever its API and route: an id, a place in the logs, a count.

Invariant: each response carries the id that its log lines carry, in ``X-Request-ID``.
"""

import itertools
import secrets
from functools import lru_cache
from typing import Final

import structlog
from prometheus_client import Counter
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Scope, Send

from infra.metrics import HTTP_REQUESTS
from schemas.limits import MAX_REQUEST_ID_CHARACTERS

_PROCESS: Final = secrets.token_hex(8)
_numbers: Final = itertools.count(secrets.randbelow(2**32))
UNKNOWN_ROUTE: Final = "unknown"

SERIES_KEPT: Final = 1024
"""Counters of route, status and workspace that are kept at hand."""

_HEADER: Final = b"x-request-id"
_ID: Final = "headrace.request_id"
_WORKSPACE: Final = "headrace.workspace"


def request_id(scope: Scope) -> str:
    """Returns the id of a request."""
    chosen: str = scope[_ID]
    return chosen


def note_workspace(scope: Scope, workspace: str) -> None:
    """Counts a request as one of a workspace: one that exists, so that callers cannot make series of their own."""
    scope[_WORKSPACE] = workspace


def noted_workspace(scope: Scope) -> str:
    """Returns the workspace that a request was noted to be of; empty if none was."""
    workspace: str = scope.get(_WORKSPACE, "")
    return workspace


def begin_request(scope: Scope) -> str:
    """Gives a request the id that its caller chose, or one of ours, and returns it."""
    chosen = scope[_ID] = _chosen_id(scope)
    structlog.contextvars.bind_contextvars(request_id=chosen)  # a request is a task, whose context ends with it
    return chosen


class CountedSend:
    """An ASGI ``send`` that adds the request's id to its answer and counts it.

    Args:
        scope: of the request, begun.
        send: of the server.

    Attributes:
        started: whether the answer has begun, so that no other one can be given.
    """

    __slots__ = ("_scope", "_send", "started")

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self.started = False

    async def __call__(self, message: Message) -> None:
        """Passes a message on."""
        if message["type"] == "http.response.start":
            self.started = True
            scope = self._scope
            message["headers"] = [*message["headers"], (_HEADER, scope[_ID].encode())]
            _counter(_route_name(scope.get("route")), message["status"], noted_workspace(scope)).inc()
        await self._send(message)


def _chosen_id(scope: Scope) -> str:
    """Returns the caller's id if it can stand in a header and a log line as it is, else one of ours."""
    for name, value in scope["headers"]:
        if name == _HEADER:
            text: str = value.decode("latin-1")
            if 0 < len(text) <= MAX_REQUEST_ID_CHARACTERS and text.isascii() and text.isprintable():
                return text
    # Of this process and a number: no other process has it, and it costs a fifth of one that is random as a whole.
    return f"req_{_PROCESS}{next(_numbers):010x}"


@lru_cache(SERIES_KEPT)
def _counter(route: str, status: int, workspace: str) -> Counter:
    return HTTP_REQUESTS.labels(route, str(status), workspace)


def _route_name(route: BaseRoute | None) -> str:
    return route.path if isinstance(route, Route) else UNKNOWN_ROUTE
