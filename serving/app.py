"""The ASGI application of the serving process: routes of its dialects and of operators.

Invariant: every answer but the operators' is JSON of the dialect, also for paths and methods that do not exist and for
requests that the server has no room for.
"""

from collections.abc import Callable, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Scope

from infra.http.operations import operations_routes
from schemas.errors import OverloadedError
from serving.tecton.errors import RETRY_AFTER_SECONDS, UNKNOWN_METHOD, UNKNOWN_PATH, error_body, refusal_of
from serving.tecton.get_features import PATH, GetFeaturesEndpoint


def serving_app(get_features: GetFeaturesEndpoint, readiness: Callable[[], Mapping[str, str]]) -> Starlette:
    """Returns the application.

    Args:
        get_features: the read endpoint.
        readiness: what keeps the process from being ready, by name.
    """
    routes = [Route(PATH, get_features, methods=["POST"]), *operations_routes(readiness)]
    return Starlette(routes=routes, exception_handlers={404: _unknown_path, 405: _unknown_method})


def no_room(_scope: Scope, error: OverloadedError) -> ASGIApp:
    """Returns the answer to a request that the server has no room for."""
    refusal = refusal_of(error)
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return Response(error_body(refusal, error.message), refusal.status, headers, "application/json")


async def _unknown_path(request: Request, _error: Exception) -> Response:
    body = error_body(UNKNOWN_PATH, f"there is nothing at {request.url.path}")
    return Response(body, UNKNOWN_PATH.status, media_type="application/json")


async def _unknown_method(request: Request, error: Exception) -> Response:
    headers = error.headers if isinstance(error, HTTPException) else None
    body = error_body(UNKNOWN_METHOD, f"{request.method} is not allowed at {request.url.path}")
    return Response(body, UNKNOWN_METHOD.status, headers, media_type="application/json")
