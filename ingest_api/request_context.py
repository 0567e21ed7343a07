"""What every request gets, whatever its route: an id, a place in the logs, a count.

Invariant: each response carries the id that its log lines carry, in ``X-Request-ID``.
"""

import secrets
from typing import Final

import structlog
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infra.metrics import HTTP_REQUESTS

MAX_CHARACTERS: Final = 128
"""Of an id that a caller chose."""

ID_BYTES: Final = 12
UNKNOWN_ROUTE: Final = "unknown"

_HEADER: Final = b"x-request-id"
_SCOPE_KEY: Final = "headrace.request_id"


def request_id(request: Request) -> str:
    """Returns the id of a request."""
    return str(request.scope[_SCOPE_KEY])


class RequestContext:
    """ASGI middleware; outermost, so that errors have an id too.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Takes the caller's id, or make one, and pass the request on."""
        chosen = _chosen_id(scope)
        scope[_SCOPE_KEY] = chosen
        structlog.contextvars.bind_contextvars(request_id=chosen)  # a request is a task, whose context ends with it

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (_HEADER, chosen.encode())]
                HTTP_REQUESTS.labels(_route_name(scope.get("route")), str(message["status"])).inc()
            await send(message)

        await self.app(scope, receive, send_with_id)


def _chosen_id(scope: Scope) -> str:
    """Returns the caller's id if it can stand in a header and a log line as it is, else one of ours."""
    for name, value in scope["headers"]:
        if name == _HEADER:
            text: str = value.decode("latin-1")
            if 0 < len(text) <= MAX_CHARACTERS and text.isascii() and text.isprintable():
                return text
    return f"req_{secrets.token_hex(ID_BYTES)}"


def _route_name(route: BaseRoute | None) -> str:
    return route.path if isinstance(route, Route) else UNKNOWN_ROUTE
