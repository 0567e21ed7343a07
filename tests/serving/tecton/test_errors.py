import json

import pytest

from schemas import errors
from serving.tecton.errors import INTERNAL, error_body, refusal_of


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.RequestError("x"), 400, 3),
        (errors.TooLargeError("x"), 400, 3),
        (errors.UnauthenticatedError("x"), 401, 16),
        (errors.ForbiddenError("x"), 403, 7),
        (errors.NotFoundError("x"), 404, 5),
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
    assert json.loads(error_body(INTERNAL, "no")) == {"error": "no", "message": "no", "code": 13}
