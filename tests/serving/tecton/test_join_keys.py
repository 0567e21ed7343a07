from typing import Any

import pytest

from schemas.errors import RequestError
from schemas.types import Field, Int64, String
from serving.tecton.join_keys import JoinKeys

KEYS = JoinKeys([Field("ad_id", Int64), Field("user_id", String)])


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("5417", 5417),
        (5417, 5417),
        (5417.0, 5417),
        ("-9223372036854775808", -(2**63)),
        (2**63 - 1, 2**63 - 1),
        (None, None),
    ],
)
def test_integers_are_text_or_integral_numbers(sent: Any, meant: int | None) -> None:
    assert KEYS.decode({"user_id": "A123", "ad_id": sent}) == [meant, "A123"]


@pytest.mark.parametrize("sent", ["", "12a", "1.0", " 1", "+1", "１", "1" * 30, 1.5, 1e300, 2**63, True, [], {}, [1]])  # noqa: RUF001 - digits of other scripts are no integers
def test_what_is_no_integer_is_refused_in_the_documented_words(sent: Any) -> None:
    with pytest.raises(RequestError) as failure:
        KEYS.decode({"user_id": "A123", "ad_id": sent})
    assert failure.value.message == "Unexpected JSON type for ad_id in joinKeyMap. Expected int64 or null."


@pytest.mark.parametrize("sent", [1, True, 1.5, [], {}])
def test_what_is_no_string_is_refused_in_the_documented_words(sent: Any) -> None:
    with pytest.raises(RequestError) as failure:
        KEYS.decode({"user_id": sent, "ad_id": 1})
    assert failure.value.message == "Unexpected JSON type for user_id in joinKeyMap. Expected string or null."


def test_a_missing_join_key_is_named() -> None:
    with pytest.raises(RequestError) as failure:
        KEYS.decode({"ad_id": 1})
    assert failure.value.message == "Missing required join key: user_id"


def test_an_unknown_join_key_is_named_with_those_expected() -> None:
    with pytest.raises(RequestError) as failure:
        KEYS.decode({"ad_id": 1, "user_id": "a", "user": "a"})
    assert failure.value.message == "Unknown join key: user, expected one of: [ad_id user_id]"
