import pytest

from processors.materialize.retirements import (
    LONGEST_TICK_SECONDS,
    TELL_AGAIN_SECONDS,
    WRITE_SECONDS,
    Retirements,
)
from schemas.definitions.plan import RetiredView
from schemas.state.keys import retired_key
from tests.support.memory_state import MemoryState
from tests.support.repositories import plan_of, view

PLAN = plan_of(view())
VIEW = PLAN.views["totals@V1"]
GRACE = 100.0
START = 5_000.0  # clocks that never run backwards begin anywhere


def retired(since: int = 4, grace: float = GRACE) -> dict[str, RetiredView]:
    return {VIEW.key: RetiredView(VIEW, PLAN.sources["events"], PLAN.digest, since, grace)}


@pytest.fixture
def state() -> MemoryState:
    return MemoryState()


def ended_after(
    retirements: Retirements, start: float, views: dict[str, RetiredView], limit: int = 1_000
) -> int | None:
    """Ticks once a second; returns after how many ticks a view is told to have ended, None if it is not."""
    return next((n for n in range(limit) if retirements.tick(views, start + n)), None)


def test_a_removed_view_ends_after_its_grace(state: MemoryState) -> None:
    assert ended_after(Retirements(state), START, retired()) == 100


def test_only_time_in_which_the_partition_was_owned_counts(state: MemoryState) -> None:
    views = retired()
    assert ended_after(Retirements(state), START, views, limit=61) is None
    # Of the 60 s, what was not yet written is lost with the process; the month in which nothing ran does not count.
    counted = 60 // int(WRITE_SECONDS) * int(WRITE_SECONDS)
    assert ended_after(Retirements(state), START + 30 * 86_400, views) == 100 - counted


def test_a_machine_that_slept_has_not_run(state: MemoryState) -> None:
    retirements = Retirements(state)
    retirements.tick(retired(), START)
    assert retirements.tick(retired(), START + 86_400) == []
    assert ended_after(retirements, START + 86_400 + 1, retired()) == 99 - int(LONGEST_TICK_SECONDS)


def test_what_is_kept_in_state_is_written_now_and_then(state: MemoryState) -> None:
    retirements = Retirements(state)
    written = []
    for second in range(int(WRITE_SECONDS) * 3):
        retirements.tick(retired(), START + second)
        written.append(state.entries[retired_key(VIEW.id)])
    assert len(set(written)) == 3


def test_a_view_that_came_back_is_forgotten_and_begins_anew(state: MemoryState) -> None:
    retirements = Retirements(state)
    ended_after(retirements, START, retired(), limit=90)
    assert retirements.tick({}, START + 90) == []
    assert state.entries == {}
    assert ended_after(retirements, START + 91, retired(since=9)) == 100


def test_a_view_that_came_back_and_went_while_nothing_ran_begins_anew(state: MemoryState) -> None:
    ended_after(Retirements(state), START, retired(), limit=90)
    assert ended_after(Retirements(state), START + 90, retired(since=9)) == 100


def test_an_end_that_is_not_heard_is_told_again(state: MemoryState) -> None:
    retirements = Retirements(state)
    told = [n for n in range(250) if retirements.tick(retired(), START + n)]
    assert told == [100, 100 + int(TELL_AGAIN_SECONDS), 100 + 2 * int(TELL_AGAIN_SECONDS)]


def test_nothing_is_written_where_nothing_is_retired(state: MemoryState) -> None:
    retirements = Retirements(state)
    assert [retirements.tick({}, START + n) for n in range(100)] == [[]] * 100
    assert state.entries == {}
