import json

import pytest

from schemas import errors
from serving.tecton.errors import error_response, refusal_of


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.RequestError("x"), 400, 3),
        (errors.TooLargeError("x"), 400, 3),
        (errors.UnauthenticatedError("x"), 401, 16),
        (errors.ForbiddenError("x"), 403, 7),
        (errors.NotFoundError("x"), 404, 5),
        (errors.UnknownPathError("x"), 404, 5),
        (errors.UnknownMethodError("x"), 405, 12),
        (errors.OverloadedError("x"), 429, 8),
        (errors.UnavailableError("x"), 503, 14),
        (errors.StorageError("x"), 500, 13),
    ],
)
def test_each_error_has_its_status_and_code(error: errors.HeadraceError, status: int, code: int) -> None:
    refusal = refusal_of(error)

    assert (refusal.status, refusal.code) == (status, code)
    assert refusal.retryable == (status in {429, 503})


def test_the_body_says_it_twice() -> None:
    answer = error_response(errors.HeadraceError("no"), "r-1")
    assert answer.status_code == 500
    assert json.loads(bytes(answer.body)) == {"error": "no", "message": "no", "code": 13}


@pytest.mark.parametrize(
    ("error", "header", "value"),
    [
        (errors.OverloadedError("x"), "Retry-After", "1"),
        (errors.UnavailableError("x"), "Retry-After", "1"),
        (errors.SlowBodyError("x"), "Connection", "close"),
        (errors.RequestError("x"), "Retry-After", None),
        (errors.RequestError("x"), "Connection", None),
    ],
)
def test_what_a_client_does_next_stands_in_a_header(
    error: errors.HeadraceError, header: str, value: str | None
) -> None:
    assert error_response(error, "r-1").headers.get(header) == value
