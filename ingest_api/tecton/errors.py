"""Errors of Tecton's stream ingest: which status and type each of ours has there, in one table.

Bodies: ``{"requestError": {"errorMessage", "errorType"}}`` of a call as a whole (rule TI-13), ``{"workspaceName",
"recordErrors"}`` of records (rule TI-14).

Invariant: only what is not the caller's fault is a 5xx.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from starlette.responses import Response

from access.schemes import TECTON_KEY
from ingest_api.ingestion.pending import Failure
from schemas.errors import (
    FUNCTION_FAILED,
    VIEW_FAILED,
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

_INVALID: Final = "RequestValidationError"
"""What was sent is not as expected."""

_MISSING: Final = "TectonObjectValidationError"
"""What is named does not exist, or cannot take records."""

_INTERNAL: Final = "InternalError"

_OF_VIEWS: Final[Mapping[str, str]] = {FUNCTION_FAILED: "TransformationError", VIEW_FAILED: _MISSING}
"""Types of what views failed with; of others it is ``_INTERNAL``."""

_RETRY: Final[Mapping[str, str]] = {"Retry-After": str(RETRY_AFTER_SECONDS)}
_NONE: Final[Mapping[str, str]] = {}


class Refusal(NamedTuple):
    """How a call that failed as a whole is answered."""

    status: int
    error_type: str
    headers: Mapping[str, str] = _NONE


OVERDUE: Final = Refusal(504, "DeadlineExceededError", _RETRY)
"""Not all answers came in time, or Kafka did not take all records in time (rule TI-15)."""

NOT_STORED: Final = Refusal(500, _INTERNAL)
"""A store did not take what a view made of a record."""

_TABLE: Final[tuple[tuple[type[HeadraceError], Refusal], ...]] = (
    (UnauthenticatedError, Refusal(401, "AuthenticationError", {"WWW-Authenticate": TECTON_KEY.challenge})),
    (ForbiddenError, Refusal(403, "AuthorizationError")),
    (UnknownPathError, Refusal(404, _INVALID)),
    (NotFoundError, Refusal(404, _MISSING)),
    (UnknownMethodError, Refusal(405, _INVALID)),
    (TooLargeError, Refusal(413, _INVALID)),
    (OverloadedError, Refusal(429, "ResourceExhaustedError", _RETRY)),
    (SlowBodyError, Refusal(400, _INVALID, {"Connection": "close"})),  # the rest may never come
    (RequestError, Refusal(400, _INVALID)),
    (UnavailableError, Refusal(503, "UnavailableError", _RETRY)),
    (HeadraceError, Refusal(500, _INTERNAL)),
)
"""The first class that fits counts."""


class RecordProblem(NamedTuple):
    """What is wrong with one record; ``message`` says which, since the dialect has no index (rule TI-14).

    Attributes:
        source: that it is of, as named by the caller.
        message: in words.
        view: that failed on it; empty where the record itself was refused.
        error_type: of the dialect.
    """

    source: str
    message: str
    view: str = ""
    error_type: str = _INVALID

    def document(self) -> dict[str, Any]:
        """Returns it as the dialect writes it."""
        about = {"featureViewName": self.view} if self.view else {}
        return {
            **about,
            "pushSourceName": self.source,
            "errorType": self.error_type,
            "errorMessage": self.message,
        }


def record_problem(source: str, index: int, failure: Failure, view: str) -> RecordProblem:
    """Returns what a view failed with on a record."""
    return RecordProblem(source, f"record {index}: {failure.message}", view, _OF_VIEWS.get(failure.code, _INTERNAL))


class RecordsRefusedError(RequestError):
    """Records of a call were refused.

    Args:
        workspace: that the call is for.
        problems: of its records.
    """

    def __init__(self, workspace: str, problems: Sequence[RecordProblem]) -> None:
        super().__init__("; ".join(f"{problem.source}, {problem.message}" for problem in problems))
        self.workspace = workspace
        self.problems = problems


def refused(refusal: Refusal, message: str) -> Response:
    """Returns the answer to a call that failed as a whole."""
    body = {"requestError": {"errorMessage": message, "errorType": refusal.error_type}}
    return Response(msgspec.json.encode(body), refusal.status, refusal.headers, JSON)


def records_refused(workspace: str, problems: Sequence[RecordProblem]) -> Response:
    """Returns the answer to a call of which records were refused, or views failed on."""
    body = {"workspaceName": workspace, "recordErrors": [problem.document() for problem in problems]}
    return Response(msgspec.json.encode(body), 400, media_type=JSON)


def error_response(error: HeadraceError, _request_id: str) -> Response:
    """Returns the answer to a call that failed."""
    if isinstance(error, RecordsRefusedError):
        return records_refused(error.workspace, error.problems)
    return refused(next(refusal for kind, refusal in _TABLE if isinstance(error, kind)), error.message)
