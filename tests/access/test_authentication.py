import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from access.authentication import CACHE_SECONDS, Authenticator
from access.roles import Role
from access.store.accounts import AccessStore, NewKey
from schemas.errors import UnauthenticatedError


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AccessStore]:
    opened = AccessStore.open(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def made(store: AccessStore) -> NewKey:
    return store.create_account("caller", {"prod": frozenset({Role.CONSUMER})})


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "form",
    ["Tecton-key {}", "tecton-KEY   {} ", 'Snowflake Token="{}"', 'SNOWFLAKE token = "{}"', 'snowflake  Token="{}"'],
)
def test_both_dialects_schemes_are_accepted_in_any_case(form: str, store: AccessStore, made: NewKey) -> None:
    assert Authenticator(store).authenticate(form.format(made.key)) == made.account


@pytest.mark.parametrize("form", ["{}:", "{}:anything", "user:{}", ":{}"])
def test_basic_takes_the_key_on_either_side(form: str, store: AccessStore, made: NewKey) -> None:
    assert Authenticator(store).authenticate(basic(form.format(made.key))) == made.account


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (None, "is missing"),
        ("", "is missing"),
        ("Tecton-key", "unknown or was revoked"),
        ("Tecton-key hr_wrong", "unknown or was revoked"),
        ('Snowflake Token="hr_wrong"', "unknown or was revoked"),
        ("Snowflake Token=hr_wrong", "with the quotes"),
        ("Snowflake hr_wrong", "with the quotes"),
        ("Bearer hr_wrong", "not accepted"),
        ("hr_wrong", "not accepted"),
        ("Basic %%%", "malformed"),
        ("Basic /w==", "malformed"),
        (basic("user:hr_wrong"), "unknown or was revoked"),
        ("Tecton-key " + "x" * 2000, "more than"),
        ("Tecton-key \udcff", "unknown or was revoked"),
    ],
)
def test_anything_else_is_refused_with_a_reason(header: str | None, said: str, store: AccessStore) -> None:
    with pytest.raises(UnauthenticatedError, match=said) as caught:
        Authenticator(store).authenticate(header)
    assert "hr_wrong" not in caught.value.message


def test_a_revoked_key_ends_within_the_caches_life(store: AccessStore, made: NewKey) -> None:
    clock = Clock()
    authenticator = Authenticator(store, clock)
    header = f"Tecton-key {made.key}"
    authenticator.authenticate(header)
    store.revoke(made.id)
    clock.now = CACHE_SECONDS - 0.01
    assert authenticator.authenticate(header) == made.account
    clock.now = CACHE_SECONDS
    with pytest.raises(UnauthenticatedError):
        authenticator.authenticate(header)


def test_a_refusal_is_not_remembered(store: AccessStore, made: NewKey) -> None:
    authenticator = Authenticator(store, Clock())
    with pytest.raises(UnauthenticatedError):
        authenticator.authenticate("Tecton-key hr_wrong")
    assert authenticator.authenticate(f"Tecton-key {made.key}") == made.account


def test_hits_in_the_cache_do_not_ask_the_store(store: AccessStore, made: NewKey) -> None:
    authenticator = Authenticator(store, Clock())
    header = f"Tecton-key {made.key}"
    authenticator.authenticate(header)
    store.revoke(made.id)
    assert all(authenticator.authenticate(header) == made.account for _ in range(3))


def test_the_cache_is_bounded(store: AccessStore, made: NewKey) -> None:
    authenticator = Authenticator(store, Clock(), entries=3)
    first = basic(f"user:{made.key}")
    authenticator.authenticate(first)
    for number in range(3):
        authenticator.authenticate(basic(f"{number}:{made.key}"))
    store.revoke(made.id)
    with pytest.raises(UnauthenticatedError):
        authenticator.authenticate(first)
