import asyncio
import base64
import threading
from types import SimpleNamespace
from typing import cast

import pytest

from access.authentication import CACHE_SECONDS, Authenticator
from access.roles import Principal, Role
from access.store.accounts import AccessStore, NewKey
from schemas.errors import UnauthenticatedError, UnavailableError
from tests.support.waiting import wait_until


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def made(store: AccessStore) -> NewKey:
    return store.create_account("caller", {"prod": frozenset({Role.CONSUMER})})


def ask(authenticator: Authenticator, header: str | None) -> Principal:
    return asyncio.run(authenticator.authenticate(header))


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "form",
    ["Tecton-key {}", "tecton-KEY   {} ", 'Snowflake Token="{}"', 'SNOWFLAKE token = "{}"', 'snowflake  Token="{}"'],
)
def test_both_dialects_schemes_are_accepted_in_any_case(form: str, store: AccessStore, made: NewKey) -> None:
    assert ask(Authenticator(store), form.format(made.key)) == made.account


@pytest.mark.parametrize("form", ["{}:", "{}:anything", "user:{}", ":{}"])
def test_basic_takes_the_key_on_either_side(form: str, store: AccessStore, made: NewKey) -> None:
    assert ask(Authenticator(store), basic(form.format(made.key))) == made.account


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
        ask(Authenticator(store), header)
    assert "hr_wrong" not in caught.value.message


def test_a_revoked_key_ends_within_the_caches_life(store: AccessStore, made: NewKey) -> None:
    clock = Clock()
    authenticator = Authenticator(store, clock)
    header = f"Tecton-key {made.key}"
    ask(authenticator, header)
    store.revoke(made.id)
    clock.now = CACHE_SECONDS - 0.01
    assert ask(authenticator, header) == made.account
    clock.now = CACHE_SECONDS
    with pytest.raises(UnauthenticatedError):
        ask(authenticator, header)


def test_a_refusal_of_one_key_is_none_of_another(store: AccessStore, made: NewKey) -> None:
    authenticator = Authenticator(store, Clock())
    with pytest.raises(UnauthenticatedError):
        ask(authenticator, "Tecton-key hr_wrong")
    assert ask(authenticator, f"Tecton-key {made.key}") == made.account


def test_hits_in_the_cache_do_not_ask_the_store(store: AccessStore, made: NewKey) -> None:
    authenticator = Authenticator(store, Clock())
    header = f"Tecton-key {made.key}"
    ask(authenticator, header)
    store.revoke(made.id)
    assert all(ask(authenticator, header) == made.account for _ in range(3))


def test_the_cache_is_bounded(store: AccessStore, made: NewKey) -> None:
    authenticator = Authenticator(store, Clock(), entries=3)
    first = basic(f"user:{made.key}")
    ask(authenticator, first)
    for number in range(3):
        ask(authenticator, basic(f"{number}:{made.key}"))
    store.revoke(made.id)
    with pytest.raises(UnauthenticatedError):
        ask(authenticator, first)


class AskedStore:
    """A store whose answers wait until they are let go."""

    def __init__(self, store: AccessStore) -> None:
        self.store = store
        self.asked: list[str] = []
        self.go = threading.Event()
        self.go.set()

    def find(self, key: str) -> Principal | None:
        self.asked.append(key)
        assert self.go.wait(20)
        return self.store.find(key)


def held(store: AccessStore) -> tuple[AskedStore, Authenticator]:
    asked = AskedStore(store)
    return asked, Authenticator(cast("AccessStore", asked), Clock())


def test_nobody_is_asked_for_again_within_the_caches_life(store: AccessStore) -> None:
    asked = AskedStore(store)
    clock = Clock()
    authenticator = Authenticator(cast("AccessStore", asked), clock)
    for _ in range(3):
        with pytest.raises(UnauthenticatedError, match="unknown or was revoked"):
            ask(authenticator, "Tecton-key hr_wrong")
    assert asked.asked == ["hr_wrong"]
    clock.now = CACHE_SECONDS
    with pytest.raises(UnauthenticatedError):
        ask(authenticator, "Tecton-key hr_wrong")
    assert asked.asked == ["hr_wrong"] * 2


def test_a_flood_of_wrong_keys_drives_out_nobody_who_is_known(store: AccessStore, made: NewKey) -> None:
    authenticator = Authenticator(store, Clock(), entries=2)
    header = f"Tecton-key {made.key}"
    ask(authenticator, header)
    for number in range(5):
        with pytest.raises(UnauthenticatedError):
            ask(authenticator, f"Tecton-key hr_{number}")
    store.revoke(made.id)
    assert ask(authenticator, header) == made.account


def test_callers_with_one_key_ask_the_store_once(store: AccessStore, made: NewKey) -> None:
    asked, authenticator = held(store)
    header = f"Tecton-key {made.key}"

    async def scenario() -> list[Principal]:
        asked.go.clear()
        callers = [asyncio.create_task(authenticator.authenticate(header)) for _ in range(5)]
        leaving = asyncio.create_task(authenticator.authenticate(header))
        await asyncio.to_thread(wait_until, lambda: len(asked.asked) == 1)
        leaving.cancel()
        asked.go.set()
        return await asyncio.gather(*callers)

    assert asyncio.run(scenario()) == [made.account] * 5
    assert asked.asked == [made.key]


def test_a_store_that_is_slow_holds_up_nobody_whose_key_is_known(store: AccessStore, made: NewKey) -> None:
    asked, authenticator = held(store)
    known = f"Tecton-key {made.key}"

    async def scenario() -> None:
        await authenticator.authenticate(known)
        asked.go.clear()
        slow = asyncio.create_task(authenticator.authenticate("Tecton-key hr_slow"))
        await asyncio.to_thread(wait_until, lambda: len(asked.asked) == 2)
        assert [await authenticator.authenticate(known) for _ in range(100)] == [made.account] * 100
        assert not slow.done()
        asked.go.set()
        with pytest.raises(UnauthenticatedError):
            await slow

    asyncio.run(scenario())


def test_questions_to_the_store_are_bounded(store: AccessStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("access.authentication.MAX_CALLERS_LOOKED_UP", 2)
    asked, authenticator = held(store)

    async def scenario() -> None:
        asked.go.clear()
        waiting = [asyncio.create_task(authenticator.authenticate(f"Tecton-key hr_{n}")) for n in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError, match="2 callers are being looked up"):
            await authenticator.authenticate("Tecton-key hr_third")
        asked.go.set()
        for each in waiting:
            with pytest.raises(UnauthenticatedError):
                await each

    asyncio.run(scenario())


def test_a_store_that_is_away_is_no_refusal_and_is_asked_again(store: AccessStore, made: NewKey) -> None:
    asked, authenticator = held(store)
    header = f"Tecton-key {made.key}"

    def away(_key: str) -> None:
        raise UnavailableError("the access store does not answer")

    asked.store = cast("AccessStore", SimpleNamespace(find=away))
    with pytest.raises(UnavailableError):
        ask(authenticator, header)
    asked.store = store
    assert ask(authenticator, header) == made.account


def test_a_closed_authenticator_has_no_threads_left(store: AccessStore, made: NewKey) -> None:
    authenticator = Authenticator(store, Clock())
    ask(authenticator, f"Tecton-key {made.key}")
    authenticator.close()
    with pytest.raises(RuntimeError):
        ask(authenticator, "Tecton-key hr_other")


def test_an_old_question_does_not_answer_for_who_comes_later(store: AccessStore, made: NewKey) -> None:
    asked, clock = AskedStore(store), Clock()
    authenticator = Authenticator(cast("AccessStore", asked), clock)
    header = f"Tecton-key {made.key}"

    async def scenario() -> None:
        asked.go.clear()
        first = asyncio.create_task(authenticator.authenticate(header))
        await asyncio.to_thread(wait_until, lambda: len(asked.asked) == 1)
        clock.now = CACHE_SECONDS
        later = asyncio.create_task(authenticator.authenticate(header))
        await asyncio.to_thread(wait_until, lambda: len(asked.asked) == 2)
        asked.go.set()
        assert [await first, await later] == [made.account] * 2

    asyncio.run(scenario())


def test_a_store_that_says_nothing_is_unavailable_after_a_while(
    store: AccessStore, made: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("access.authentication.LOOK_UP_SECONDS", 0.05)
    asked, authenticator = held(store)
    header = f"Tecton-key {made.key}"

    async def scenario() -> None:
        asked.go.clear()
        with pytest.raises(UnavailableError, match="did not answer within"):
            await authenticator.authenticate(header)
        asked.go.set()

    asyncio.run(scenario())
