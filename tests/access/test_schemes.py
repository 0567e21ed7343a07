import base64

import pytest

from access.schemes import ACCEPTED, BASIC, SCHEMES, SNOWFLAKE_TOKEN, TECTON_KEY, keys_in
from schemas.errors import UnauthenticatedError


@pytest.mark.parametrize(
    ("header", "keys"),
    [
        ("Tecton-key a", ("a",)),
        ("TECTON-KEY   a ", ("a",)),
        ('Snowflake Token="a"', ("a",)),
        ("Basic " + base64.b64encode(b"user:a").decode(), ("a", "user")),
        ("Basic " + base64.b64encode(b"a").decode(), ("", "a")),
    ],
)
def test_each_scheme_finds_what_may_be_a_key(header: str, keys: tuple[str, ...]) -> None:
    assert keys_in(header) == keys


def test_what_is_no_scheme_is_refused_with_what_is() -> None:
    with pytest.raises(UnauthenticatedError) as refused:
        keys_in("Bearer a")
    assert refused.value.message.endswith(f"send {ACCEPTED}")
    assert ACCEPTED == '`Authorization: Tecton-key KEY` or `Authorization: Snowflake Token="KEY"`'


def test_schemes_are_told_apart_by_their_words_and_names() -> None:
    assert {word: scheme.word for word, scheme in SCHEMES.items()} == {word: word for word in SCHEMES}
    assert len({scheme.name for scheme in SCHEMES.values()}) == len(SCHEMES)
    assert [scheme.challenge for scheme in (TECTON_KEY, SNOWFLAKE_TOKEN, BASIC)] == [
        "Tecton-key",
        "Snowflake",
        'Basic realm="headrace"',
    ]
