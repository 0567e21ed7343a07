"""The error table of the feature service (rule TF-6).

Invariant: every refusal is a JSON object ``{"error": text, "message": text, "code": gRPC code}``: stock clients fail on
any other body.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec
from starlette.responses import Response

from schemas.errors import (
    ForbiddenError,
    HeadraceError,
    NotFoundError,
    OverloadedError,
    RequestError,
    SlowBodyError,
    UnauthenticatedError,
    UnavailableError,
    UnknownMethodError,
)
from schemas.limits import RETRY_AFTER_SECONDS


class Refusal(NamedTuple):
    """How an error is answered: HTTP status and gRPC code.

    Attributes:
        retryable: the same call may succeed later.
        closes: the connection ends with the answer, since the rest of the request may never come.
    """

    status: int
    code: int
    retryable: bool = False
    closes: bool = False


INTERNAL: Final = Refusal(500, 13)

TABLE: Final[Mapping[type[HeadraceError], Refusal]] = {
    UnauthenticatedError: Refusal(401, 16),
    ForbiddenError: Refusal(403, 7),
    NotFoundError: Refusal(404, 5),
    UnknownMethodError: Refusal(405, 12),
    OverloadedError: Refusal(429, 8, retryable=True),
    SlowBodyError: Refusal(400, 3, closes=True),
    RequestError: Refusal(400, 3),  # and its other kinds: rule TF-6 has no 413 and no 408
    UnavailableError: Refusal(503, 14, retryable=True),
}


def refusal_of(error: HeadraceError) -> Refusal:
    """Returns how an error is answered; one that is no caller's business is ``INTERNAL``."""
    return next((refusal for kind, refusal in TABLE.items() if isinstance(error, kind)), INTERNAL)


def error_response(error: HeadraceError, _request_id: str) -> Response:
    """Returns the answer to a call that failed."""
    refusal = refusal_of(error)
    headers = {}
    if refusal.retryable:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if refusal.closes:
        headers["Connection"] = "close"
    body = {"error": error.message, "message": error.message, "code": refusal.code}
    return Response(msgspec.json.encode(body), refusal.status, headers, "application/json")
