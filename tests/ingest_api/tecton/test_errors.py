import json
from typing import Any

import pytest

from ingest_api.ingestion.pending import Failure
from ingest_api.tecton.errors import RecordProblem, RecordsRefusedError, error_response, record_problem
from schemas import errors
from schemas.errors import FUNCTION_FAILED, MALFORMED, VIEW_FAILED, HeadraceError


@pytest.mark.parametrize(
    ("error", "status", "error_type"),
    [
        (errors.UnauthenticatedError, 401, "AuthenticationError"),
        (errors.ForbiddenError, 403, "AuthorizationError"),
        (errors.NotFoundError, 404, "TectonObjectValidationError"),
        (errors.UnknownPathError, 404, "RequestValidationError"),
        (errors.UnknownMethodError, 405, "RequestValidationError"),
        (errors.TooLargeError, 413, "RequestValidationError"),
        (errors.OverloadedError, 429, "ResourceExhaustedError"),
        (errors.SlowBodyError, 400, "RequestValidationError"),
        (errors.RequestError, 400, "RequestValidationError"),
        (errors.UnavailableError, 503, "UnavailableError"),
        (errors.StorageError, 500, "InternalError"),
    ],
)
def test_each_error_has_its_status_and_type(error: type[HeadraceError], status: int, error_type: str) -> None:
    response = error_response(error("why"), "req_1")
    assert response.status_code == status
    assert json.loads(bytes(response.body)) == {"requestError": {"errorMessage": "why", "errorType": error_type}}
    assert ("retry-after" in response.headers) is (status in (429, 503))
    assert ("www-authenticate" in response.headers) is (status == 401)
    assert (response.headers.get("connection") == "close") is (error is errors.SlowBodyError)


def test_refused_records_have_a_shape_of_their_own() -> None:
    problems = [RecordProblem("a", "record 0: no"), RecordProblem("b", "record 3: no", "sums", "TransformationError")]
    response = error_response(RecordsRefusedError("prod", problems), "req_1")
    assert response.status_code == 400
    assert json.loads(bytes(response.body)) == {
        "workspaceName": "prod",
        "recordErrors": [
            {"pushSourceName": "a", "errorType": "RequestValidationError", "errorMessage": "record 0: no"},
            {
                "featureViewName": "sums",
                "pushSourceName": "b",
                "errorType": "TransformationError",
                "errorMessage": "record 3: no",
            },
        ],
    }


@pytest.mark.parametrize(
    ("code", "error_type"),
    [
        (FUNCTION_FAILED, "TransformationError"),
        (VIEW_FAILED, "TectonObjectValidationError"),
        (MALFORMED, "InternalError"),
    ],
)
def test_what_a_view_failed_with_has_its_type(code: str, error_type: str) -> None:
    problem: Any = record_problem("a", 2, Failure(code, "why"), "sums")
    assert problem == ("a", "record 2: why", "sums", error_type)
