"""The ASGI application of the ingest API: the routes of its dialects, of the schema registry and of operators.

Invariant: every answer carries the request's id, and errors are JSON of their path's dialect, also for paths and
methods that do not exist and for requests that the server has no room for.
"""

from collections.abc import Callable, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from infra.http.operations import operations_routes
from ingest_api.dialects import DIALECTS
from ingest_api.registry.routes import is_registry_path, registry_refusal
from ingest_api.request_context import RequestContext, request_id
from ingest_api.service import IngestService
from ingest_api.snowflake.errors import error_response, plain_error
from schemas.errors import OverloadedError


def ingest_app(service: IngestService, registry: list[Route], readiness: Callable[[], Mapping[str, str]]) -> ASGIApp:
    """Returns the application.

    Args:
        service: what the dialects answer with.
        registry: the routes of the schema registry, at the root.
        readiness: what keeps the process from being ready, by name.
    """
    routes = [route for dialect in DIALECTS for route in dialect(service)]
    return Starlette(
        routes=[*routes, *registry, *operations_routes(readiness)],
        middleware=[Middleware(RequestContext)],
        exception_handlers={404: _unknown_path, 405: _unknown_method},
    )


def no_room(_scope: Scope, error: OverloadedError) -> ASGIApp:
    """Returns the answer to a request that the server has no room for."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        response = (
            registry_refusal(error)
            if is_registry_path(scope["path"])
            else error_response(error, request_id(Request(scope)))
        )
        await response(scope, receive, send)

    return RequestContext(refuse)


async def _unknown_path(request: Request, _error: Exception) -> Response:
    return plain_error(404, "NOT_FOUND", f"There is nothing at {request.url.path}", request_id(request))


async def _unknown_method(request: Request, error: Exception) -> Response:
    headers = error.headers if isinstance(error, HTTPException) else None
    message = f"{request.method} is not allowed at {request.url.path}"
    return plain_error(405, "INVALID_ARGUMENT", message, request_id(request), headers)
