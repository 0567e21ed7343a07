import json

import pytest

from ingest_api.snowflake.errors import error_response, record_code, view_code
from schemas import errors
from schemas.errors import SlowBodyError


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.UnauthenticatedError("x"), 401, "UNAUTHENTICATED"),
        (errors.ForbiddenError("x"), 403, "PERMISSION_DENIED"),
        (errors.NotFoundError("x"), 404, "NOT_FOUND"),
        (errors.UnknownPathError("x"), 404, "NOT_FOUND"),
        (errors.UnknownMethodError("x"), 405, "INVALID_ARGUMENT"),
        (errors.TooLargeError("x"), 413, "TOO_LARGE"),
        (errors.OverloadedError("x"), 429, "RESOURCE_EXHAUSTED"),
        (errors.RequestError("x"), 400, "INVALID_ARGUMENT"),
        (SlowBodyError("x"), 400, "INVALID_ARGUMENT"),
        (errors.UnavailableError("x"), 503, "UNAVAILABLE"),
        (errors.StorageError("x"), 500, "STORAGE"),
        (errors.CodecError("x"), 500, "MALFORMED"),
        (errors.HeadraceError("x"), 500, "INTERNAL"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_each_error_has_its_status_and_code(error: errors.HeadraceError, status: int, code: str) -> None:
    answer = error_response(error, "r-1")
    assert (answer.status_code, answer.media_type) == (status, "application/json")
    assert json.loads(bytes(answer.body)) == {"error": {"code": code, "message": "x"}, "request_id": "r-1"}


def test_only_what_is_not_the_callers_fault_is_a_5xx() -> None:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.HeadraceError)
    ]
    refused = {
        kind for kind in kinds if kind is not errors.RecordError and error_response(kind("x"), "").status_code < 500
    }
    assert refused == {kind for kind in kinds if issubclass(kind, errors.RequestError)}


@pytest.mark.parametrize(
    ("error", "header", "value"),
    [
        (errors.UnauthenticatedError("x"), "WWW-Authenticate", "Snowflake"),
        (errors.OverloadedError("x"), "Retry-After", "1"),
        (errors.UnavailableError("x"), "Retry-After", "1"),
        (SlowBodyError("x"), "Connection", "close"),
        (errors.RequestError("x"), "Retry-After", None),
        (errors.RequestError("x"), "Connection", None),
    ],
)
def test_what_a_client_does_next_stands_in_a_header(
    error: errors.HeadraceError, header: str, value: str | None
) -> None:
    assert error_response(error, "r-1").headers.get(header) == value


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (errors.FUNCTION_FAILED, "UDF_EXECUTION_FAILED"),
        (errors.VIEW_FAILED, "FAILED_PRECONDITION"),
        (errors.WRITE_ERROR, "WRITE_ERROR"),
        (errors.UNAVAILABLE, "UNAVAILABLE"),
        (errors.UNKNOWN_SCHEMA, "INTERNAL"),
        ("TILE_TOO_LARGE", "INTERNAL"),
    ],
)
def test_a_views_failure_has_a_name_of_the_reference_or_is_internal(code: str, told: str) -> None:
    assert view_code(code) == told


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (errors.MISSING_REQUIRED_FIELD, "MISSING_REQUIRED_FIELD"),
        (errors.INVALID_FIELD_TYPE, "INVALID_FIELD_TYPE"),
        (errors.INVALID_TIMESTAMP, "INVALID_TIMESTAMP"),
        (errors.RECORD_TOO_LARGE, "RECORD_TOO_LARGE"),
        (errors.UNKNOWN_FIELD, "INVALID_ARGUMENT"),
        (errors.UNKNOWN_SOURCE, "INVALID_ARGUMENT"),
        (errors.UNAVAILABLE, "UNAVAILABLE"),
    ],
)
def test_a_records_refusal_has_the_name_of_the_reference(code: str, told: str) -> None:
    assert record_code(code) == told
