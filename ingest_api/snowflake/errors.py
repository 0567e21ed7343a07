"""Errors of the Snowflake dialect: which status and code each of ours has there, in one table.

Bodies are what the SDK reads (rule SI-16): ``{"error": {"code", "message"},
"request_id"}``. Statuses: the same rule.

Invariant: only what is not the caller's fault is a 5xx.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.responses import Response

from access.schemes import SNOWFLAKE_TOKEN
from schemas.errors import (
    FUNCTION_FAILED,
    UNAVAILABLE,
    UNKNOWN_FIELD,
    UNKNOWN_SOURCE,
    VIEW_FAILED,
    WRITE_ERROR,
    ForbiddenError,
    HeadraceError,
    NotFoundError,
    OverloadedError,
    RequestError,
    SlowBodyError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
    UnknownMethodError,
    UnknownPathError,
)
from schemas.limits import RETRY_AFTER_SECONDS

JSON: Final = "application/json"

_RETRY: Final[Mapping[str, str]] = {"Retry-After": str(RETRY_AFTER_SECONDS)}
_NONE: Final[Mapping[str, str]] = {}

_STATUS: Final[tuple[tuple[type[HeadraceError], int, Mapping[str, str]], ...]] = (
    (UnauthenticatedError, 401, {"WWW-Authenticate": SNOWFLAKE_TOKEN.challenge}),
    (ForbiddenError, 403, _NONE),
    (NotFoundError, 404, _NONE),
    (UnknownMethodError, 405, _NONE),
    (TooLargeError, 413, _NONE),
    (OverloadedError, 429, _RETRY),
    (SlowBodyError, 400, {"Connection": "close"}),  # the rest of it may never come
    (RequestError, 400, _NONE),
    (UnavailableError, 503, _RETRY),
    (HeadraceError, 500, _NONE),
)
"""The first class that fits counts."""

_CODES: Final[Mapping[str, str]] = {
    SlowBodyError.code: RequestError.code,
    UnknownPathError.code: NotFoundError.code,
    UnknownMethodError.code: RequestError.code,
}
"""What the dialect has no code of its own for (rule SI-16)."""

RECORD_CODES: Final[Mapping[str, str]] = {
    UNKNOWN_FIELD: RequestError.code,
    UNKNOWN_SOURCE: RequestError.code,
}
"""What the dialect has no code of its own for (rule SI-11); the others are the same there."""

VIEW_CODES: Final[Mapping[str, str]] = {
    FUNCTION_FAILED: "UDF_EXECUTION_FAILED",
    VIEW_FAILED: "FAILED_PRECONDITION",
    WRITE_ERROR: "WRITE_ERROR",
    UNAVAILABLE: "UNAVAILABLE",
}
"""Rule SI-12; what has no name there is internal."""


def record_code(code: str) -> str:
    """Returns how the dialect names why a record was refused."""
    return RECORD_CODES.get(code, code)


def view_code(code: str) -> str:
    """Returns how the dialect names why a view failed."""
    return VIEW_CODES.get(code, HeadraceError.code)


def error_response(error: HeadraceError, request_id: str) -> Response:
    """Returns the answer to a request that failed as a whole."""
    status, headers = next((status, headers) for kind, status, headers in _STATUS if isinstance(error, kind))
    code = _CODES.get(error.code, error.code)
    body = {"error": {"code": code, "message": error.message}, "request_id": request_id}
    return Response(msgspec.json.encode(body), status, headers, JSON)
