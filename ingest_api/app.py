"""The ASGI application of the ingest API: the routes of its dialects, of the schema registry and of operators.

Invariant: every answer carries the request's id, and errors are JSON, also for paths and methods that do not exist.
"""

from collections.abc import Callable, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from infra.operations import operations_routes
from ingest_api.dialects import DIALECTS
from ingest_api.request_context import RequestContext, request_id
from ingest_api.service import IngestService
from ingest_api.snowflake.errors import plain_error


def ingest_app(service: IngestService, registry: list[Route], readiness: Callable[[], Mapping[str, str]]) -> ASGIApp:
    """Return the application.

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


async def _unknown_path(request: Request, _error: Exception) -> Response:
    return plain_error(404, "NOT_FOUND", f"There is nothing at {request.url.path}", request_id(request))


async def _unknown_method(request: Request, error: Exception) -> Response:
    headers = error.headers if isinstance(error, HTTPException) else None
    message = f"{request.method} is not allowed at {request.url.path}"
    return plain_error(405, "INVALID_ARGUMENT", message, request_id(request), headers)
