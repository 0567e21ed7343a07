from dataclasses import FrozenInstanceError, fields

import pytest
from starlette.responses import Response

from infra.http.api import Api
from schemas.errors import HeadraceError


def refuse(error: HeadraceError, request_id: str) -> Response:
    return Response(f"{error.code} {request_id}", 500)


def test_an_api_is_a_value_that_nobody_changes() -> None:
    api = Api(name="a", prefixes=("/a",), routes=[], refuse=refuse)
    for field in fields(api):
        with pytest.raises(FrozenInstanceError):
            setattr(api, field.name, None)


def test_an_api_needs_no_key_and_gives_way_to_load_unless_it_says_otherwise() -> None:
    api = Api(name="a", prefixes=("/a",), routes=[], refuse=refuse)
    assert (api.schemes, api.is_always_answered, dict(api.openapi)) == ((), False, {})
