"""The schema registry over HTTP, as stock Confluent serializers ask for it.

Invariant: every answer, errors included, is JSON of the registry's content type, and no call holds up the event loop.

Subjects come percent-encoded and may contain slashes, hence the matching on the raw path instead of the router's.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

import msgspec
from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from access.schemes import BASIC
from infra.http.api import Api
from infra.http.request_body import Arrivals, read_body
from infra.kafka.schema_registry import TIMEOUT_SECONDS, SchemaRegistry
from infra.logs import get_logger
from ingest_api.registry.calls import ENDPOINTS, INVALID_SCHEMA, Call, Endpoint, RefusedError
from ingest_api.registry.subject_rights import SubjectRights
from schemas.errors import (
    ForbiddenError,
    HeadraceError,
    OverloadedError,
    RequestError,
    SlowBodyError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
    UnknownMethodError,
    UnknownPathError,
)
from schemas.limits import MAX_REGISTRY_ARRIVING, MAX_REGISTRY_BODY_BYTES, MAX_REGISTRY_CALLS, RETRY_AFTER_SECONDS

Authenticate = Callable[[str | None], Awaitable[SubjectRights]]
"""Takes the ``Authorization`` header and returns what the caller may do; raises if it is nobody known."""

CONTENT_TYPE: Final = "application/vnd.schemaregistry.v1+json"
PREFIXES: Final = ("/subjects", "/schemas", "/associations")
STORE_FAILED: Final = 50001
STORE_AWAY: Final = 50003

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Envelope:
    status: int
    error_code: int
    headers: Mapping[str, str] = field(default_factory=dict)


ENVELOPES: Final[Mapping[type[HeadraceError], _Envelope]] = {
    UnauthenticatedError: _Envelope(401, 401, {"WWW-Authenticate": BASIC.challenge}),
    ForbiddenError: _Envelope(403, 403),
    UnknownPathError: _Envelope(404, 404),
    UnknownMethodError: _Envelope(405, 405),
    SlowBodyError: _Envelope(408, 408, {"Connection": "close"}),
    TooLargeError: _Envelope(413, 413),
    OverloadedError: _Envelope(429, 429, {"Retry-After": str(RETRY_AFTER_SECONDS)}),
    RequestError: _Envelope(422, INVALID_SCHEMA),
    UnavailableError: _Envelope(503, STORE_AWAY, {"Retry-After": str(RETRY_AFTER_SECONDS)}),
    HeadraceError: _Envelope(500, STORE_FAILED),
}
"""How errors are answered; an error's own class counts before its bases."""


def registry_api(registry: SchemaRegistry, authenticate: Authenticate, timeout_seconds: float = TIMEOUT_SECONDS) -> Api:
    """Returns the API of the registry, at the root of a server.

    Args:
        registry: started and stopped by the caller.
        authenticate: called in the event loop, before a call is looked at any further.
        timeout_seconds: how long a call waits for Kafka before it is answered 503.
    """
    app = _RegistryApp(registry, authenticate, timeout_seconds)
    routes = [Route(f"{prefix}{rest}", app) for prefix in PREFIXES for rest in ("", "/{_:path}")]
    return Api(name="schema-registry", prefixes=PREFIXES, routes=routes, refuse=registry_refusal)


class _RegistryApp:
    def __init__(self, registry: SchemaRegistry, authenticate: Authenticate, timeout_seconds: float) -> None:
        self._registry = registry
        self._authenticate = authenticate
        self._timeout_seconds = timeout_seconds
        self._threads = CapacityLimiter(MAX_REGISTRY_CALLS)
        self._arrivals = Arrivals(MAX_REGISTRY_ARRIVING)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _json(200, await self._answer(Request(scope, receive)))(scope, receive, send)

    async def _answer(self, request: Request) -> object:
        parts = _parts(request.scope["raw_path"])
        endpoints = [endpoint for endpoint in ENDPOINTS if _names(endpoint, parts) is not None]
        endpoint = next((each for each in endpoints if each.method == request.method), None)
        rights = await self._authenticate(request.headers.get("authorization"))
        if endpoint is None:
            rights.require_anywhere()
            # Stock clients ask for associations first, and take this 404 as "there are none".
            status = 405 if endpoints else 404
            raise RefusedError(status, status, f"the schema registry serves no {request.method} on this path")
        names = _names(endpoint, parts) or []
        if endpoint.path.startswith("subjects/"):
            rights.require(endpoint.action, names[0])
        else:
            rights.require_anywhere()
        with self._arrivals.of(rights.principal.id) as seconds:
            body = await read_body(request.receive, MAX_REGISTRY_BODY_BYTES, "register a smaller schema", seconds)
        if body is None:
            raise RequestError("the caller went away")
        call = Call(self._registry, rights, self._timeout_seconds, names, request.query_params, body)
        return await to_thread.run_sync(endpoint.answer, call, limiter=self._threads)


def _parts(raw_path: bytes) -> list[str]:
    return [unquote(part) for part in raw_path.decode("ascii", "replace").strip("/").split("/")]


def _names(endpoint: Endpoint, parts: list[str]) -> list[str] | None:
    """Returns what stands for the stars of an endpoint's path, or None if the path is another."""
    wanted = endpoint.path.split("/")
    if len(wanted) != len(parts) or any(name not in ("*", part) for name, part in zip(wanted, parts, strict=True)):
        return None
    return [part for name, part in zip(wanted, parts, strict=True) if name == "*"]


def registry_refusal(error: HeadraceError, _request_id: str) -> Response:
    """Returns the answer to a call that failed."""
    if isinstance(error, RefusedError):
        return _json(error.status, {"error_code": error.error_code, "message": error.message})
    if not isinstance(error, RequestError):
        _log.warning("registry call failed", problem=error.message)
    envelope = next(ENVELOPES[kind] for kind in type(error).__mro__ if kind in ENVELOPES)
    return _json(envelope.status, {"error_code": envelope.error_code, "message": error.message}, envelope.headers)


def _json(status: int, content: object, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(content), status, headers, CONTENT_TYPE)
