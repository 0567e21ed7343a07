import dataclasses
from collections.abc import Mapping, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.materialize.fold import ViewState, materialize
from processors.materialize.held_clock import MAX_STEP
from processors.materialize.retention import FEWEST_KEYS, MOST_KEYS, clocks, next_limit, sweep
from schemas.definitions.plan import ViewPlan, view_digest
from schemas.instants import DAY
from schemas.messages.updates import UpdateMessage
from schemas.state.keys import (
    digest_key,
    encode_identity,
    row_prefix,
    tile_prefix,
    time_of,
    time_suffix,
    watermark_key,
)
from serving.reads.views import view_reader
from tests.support import oracle
from tests.support.histories import (
    BASE,
    IDENTITY_COLUMNS,
    SECOND,
    Arrival,
    History,
    compiled,
    examples,
    histories,
    update_of,
    updates_of,
)
from tests.support.memory_state import MemoryState

KEY = ("a", 1)
EMPTY = {"flag": None, "text": None, "whole": None, "x": None, "y": None}
SUM = (
    "aggregation_interval=timedelta(minutes=1), grace=timedelta(0), "
    'features=[Aggregate("sum", "x", timedelta(hours=1))]'
)


def fold(views: Sequence[ViewPlan], state: MemoryState, history: History, arrivals: Sequence[Arrival]) -> None:
    messages = [UpdateMessage(offset, update) for offset, update in enumerate(updates_of(history, arrivals))]
    state.write(materialize({v.id: ViewState(v) for v in views}, state, messages, len(messages) + 1).writes)


def swept(views: Sequence[ViewPlan], state: MemoryState, clock: int, limit: int) -> int:
    """Sweeps once over everything, all views by one clock; returns how many keys went."""
    return swept_by({view.id: clock for view in views}, views, state, limit)


def swept_by(clock_of: Mapping[int, int], views: Sequence[ViewPlan], state: MemoryState, limit: int) -> int:
    plans = {view.id: view for view in views}
    deleted, cursor = 0, None
    while True:
        deletes, cursor = sweep(plans, clock_of, state, cursor, limit)
        state.write([(key, None) for key in deletes])
        deleted += len(deletes)
        if cursor is None:
            return deleted


def impatient(history: History, grace: int) -> History:
    """Returns the history with attribute views of a shorter grace, so that rows nearby grow too old."""
    views = [v if v.is_aggregate else msgspec.structs.replace(v, grace=grace) for v in history.views]
    return dataclasses.replace(history, views=tuple(views))


def nows(history: History) -> st.SearchStrategy[int]:
    """Moments at and around which rows of the history grow too old."""
    ages = {0} | {age for v in history.views for age in (v.grace, v.ttl or 0, (v.horizon or 0) + DAY)}
    times = [arrival.event.time for arrival in history.arrivals] or [BASE]
    jitter = st.sampled_from((-1, 0, 1)) | st.integers(0, DAY)
    return st.builds(lambda t, a, j: t + a + j, st.sampled_from(times), st.sampled_from(sorted(ages)), jitter)


def moved_on(history: History, now: int, views: Sequence[ViewPlan]) -> list[Arrival]:
    """Returns an event of each of these views at ``now``: their watermarks follow."""
    key = history.keys[0]
    values = EMPTY | {name: IDENTITY_COLUMNS[name][1][0] for name in history.identity}
    return [Arrival(oracle.Event(view.id, key, now, (now // 1000 + 1, 9, 10**6, 0), values)) for view in views]


@given(histories(), st.data(), st.integers(2, 20))
@examples(100)
def test_no_read_that_can_be_asked_for_changes_nor_after_what_arrives_later(
    drawn: History, data: st.DataObject, limit: int
) -> None:
    history = impatient(drawn, data.draw(st.sampled_from((0, 1, 60 * SECOND))))
    cut = data.draw(st.integers(0, len(history.arrivals)))
    now = data.draw(nows(history))
    busy = [view for view in history.views if data.draw(st.booleans())]
    arrived = [*history.arrivals[:cut], *moved_on(history, now - data.draw(st.sampled_from((0, 1, DAY))), busy)]
    kept, state = MemoryState(), MemoryState()
    for each in (kept, state):
        fold(history.views, each, history, arrived)
    swept_by(clocks([view.id for view in history.views], state, now), history.views, state, limit)
    waits = [0, *data.draw(st.lists(st.integers(0, 3 * DAY), min_size=1, max_size=3))]
    for more in ((), history.arrivals[cut:]):
        for each in (kept, state):
            fold(history.views, each, history, more)
        arrived += more
        for view, judge in zip(history.views, history.judges, strict=True):
            reader = view_reader(view)
            events = [arrival.event for arrival in arrived]
            latest = oracle.watermark(judge, events)
            for wait in waits:
                edges = {now + wait, now + wait if latest is None else min(latest, now + wait)}
                for edge in edges if view.is_aggregate else {now + wait}:
                    for key in history.keys:
                        encoded = Arrival(oracle.Event(view.id, key, 0, (0, 0, 0, 0), {})).key
                        before, after = reader.read(kept, encoded, edge), reader.read(state, encoded, edge)
                        assert oracle.same(list(before.values), list(after.values))
                        assert before.effective_time == after.effective_time
                        values, effective = oracle.answer(judge, events, key, edge)
                        assert oracle.same(list(after.values), values)
                        assert after.effective_time == effective


class CountingState(MemoryState):
    """Counts the keys that are looked at; no value is."""

    seen = 0

    def keys(self, start: bytes, end: bytes, limit: int) -> list[bytes]:
        found = super().keys(start, end, limit)
        self.seen += len(found)
        return found


def state_of(view: ViewPlan, times: Sequence[int]) -> MemoryState:
    state = MemoryState()
    arrivals = [
        Arrival(oracle.Event(view.id, KEY, time, (time // 1000, 0, offset, 0), EMPTY | {"x": 1.0}))
        for offset, time in enumerate(times)
    ]
    for offset, arrival in enumerate(arrivals):
        messages = [UpdateMessage(offset, update_of(view, [arrival]))]
        state.write(materialize({view.id: ViewState(view)}, state, messages, offset + 1).writes)
    return state


def row_times(view: ViewPlan, state: MemoryState) -> list[int]:
    return [time_of(key) for key in state.entries if key.startswith(row_prefix(view.id, b""))]


def tile_starts(view: ViewPlan, state: MemoryState) -> list[int]:
    return [time_of(key) for key in state.entries if key.startswith(tile_prefix(view.id, b""))]


def test_rows_and_tiles_of_aggregates_go_a_day_after_the_horizon() -> None:
    (view,) = compiled({"totals": SUM})
    assert view.horizon is not None
    start = BASE - BASE % (3600 * SECOND)
    state = state_of(view, [start, start + 3600 * SECOND])
    edge = start + view.horizon + DAY
    swept([view], state, edge, 100)
    assert row_times(view, state) == [start, start + 3600 * SECOND]
    swept([view], state, edge + 1, 100)
    assert row_times(view, state) == [start + 3600 * SECOND]
    assert start in tile_starts(view, state)
    swept([view], state, edge + view.resolutions[-1], 100)
    assert start not in tile_starts(view, state)
    assert start + 3600 * SECOND in tile_starts(view, state)


def test_attribute_rows_go_when_they_are_old_and_superseded() -> None:
    (view,) = compiled({"attributes": "grace=timedelta(days=3)"})
    first, second, third = BASE, BASE + DAY, BASE + 9 * DAY
    state = state_of(view, [first, second, third])
    swept([view], state, first + 3 * DAY, 100)
    assert row_times(view, state) == [first, second, third]
    swept([view], state, first + 3 * DAY + 1, 100)
    assert row_times(view, state) == [second, third]
    swept([view], state, third - 1, 100)  # the third row is not served yet
    assert row_times(view, state) == [second, third]
    swept([view], state, third + 2 * DAY, 2)
    assert row_times(view, state) == [third]


def test_the_newest_row_goes_once_ttl_and_grace_have_passed_it() -> None:
    (view,) = compiled({"attributes": "grace=timedelta(days=2), ttl=timedelta(days=3)"})
    state = state_of(view, [BASE])
    expiry = BASE + 5 * DAY + MAX_STEP
    swept([view], state, expiry, 100)
    assert row_times(view, state) == [BASE]
    swept([view], state, expiry + 1, 100)
    assert row_times(view, state) == []


def test_the_newest_row_stays_for_ever_without_a_ttl() -> None:
    (view,) = compiled({"attributes": "grace=timedelta(0)"})
    state = state_of(view, [BASE])
    swept([view], state, BASE + 4000 * DAY, 100)
    assert row_times(view, state) == [BASE]


def test_a_superseded_row_stays_until_no_clock_that_was_ahead_can_come_back_before_the_newer_one() -> None:
    (view,) = compiled({"attributes": "grace=timedelta(0)"})
    state = state_of(view, [BASE, BASE + DAY])
    swept([view], state, BASE + DAY + MAX_STEP - 1, 100)
    assert row_times(view, state) == [BASE, BASE + DAY]
    swept([view], state, BASE + DAY + MAX_STEP, 100)
    assert row_times(view, state) == [BASE + DAY]


def test_a_quiet_stream_loses_nothing_however_long() -> None:
    views = compiled({"totals": SUM, "attributes": "grace=timedelta(0), ttl=timedelta(minutes=1)"})
    state = MemoryState()
    for view in views:
        state.write(list(state_of(view, [BASE, BASE + 60 * SECOND]).entries.items()))
    whole = dict(state.entries)
    clock_of = clocks([view.id for view in views], state, BASE + 4000 * DAY)
    assert set(clock_of.values()) == {BASE + 60 * SECOND}
    swept_by(clock_of, views, state, 100)
    assert dict(state.entries) == whole


def test_a_watermark_ahead_of_the_host_makes_nothing_old() -> None:
    (view,) = compiled({"totals": SUM})
    state = state_of(view, [BASE, BASE + 400 * DAY])
    assert clocks([view.id], state, BASE + DAY) == {view.id: BASE + DAY}


def test_a_view_without_a_watermark_loses_nothing() -> None:
    (view,) = compiled({"totals": SUM})
    future = Arrival(oracle.Event(view.id, KEY, BASE, (0, 0, 0, 0), EMPTY | {"x": 1.0}))
    state = MemoryState()
    state.write(materialize({view.id: ViewState(view)}, state, [UpdateMessage(0, update_of(view, [future]))], 1).writes)
    assert row_times(view, state) == [BASE]
    clock_of = clocks([view.id], state, BASE + 4000 * DAY)
    assert clock_of == {}
    assert swept_by(clock_of, [view], state, 100) == 0


def test_all_of_a_view_that_left_the_plan_goes_and_nothing_else() -> None:
    gone, stays = compiled({"a": SUM, "b": ""})
    state = state_of(gone, [BASE])
    state.write(list(state_of(stays, [BASE]).entries.items()))
    others = dict(state_of(stays, [BASE]).entries)
    state.write([(digest_key(gone.id), view_digest(gone))])
    assert watermark_key(gone.id) in state.entries
    assert swept([stays], state, BASE, 3) > 0
    assert dict(state.entries) == others


@pytest.mark.parametrize("limit", [2, 3, 7])
def test_a_call_looks_at_no_more_keys_than_allowed_and_the_sweep_ends(limit: int) -> None:
    (view,) = compiled({"attributes": "grace=timedelta(0)"})
    state = state_of(view, [BASE + number for number in range(20)])
    cursor = None
    for _ in range(100):
        asked = CountingState(state.entries)
        deletes, cursor = sweep({view.id: view}, {view.id: BASE + DAY}, asked, cursor, limit)
        state.write([(key, None) for key in deletes])
        assert asked.seen <= limit
        if cursor is None:
            break
    assert cursor is None
    assert row_times(view, state) == [BASE + 19]


def test_a_limit_too_small_to_get_on_is_refused() -> None:
    with pytest.raises(ValueError, match="limit is 1, expected at least 2"):
        sweep({}, {}, MemoryState(), None, 1)


def test_keys_of_other_spaces_are_nobodys_to_delete() -> None:
    state = MemoryState({b"Mnext_offset": b"\x01", b"Mzone": b"", b"Sother": b"", b"Dversion": b""})
    assert swept([], state, BASE, 10) == 0


@pytest.mark.parametrize("rate", [500, 5_000, 20_000])
def test_a_sweep_keeps_up_with_whatever_grows_old(rate: int) -> None:
    """A model: each key is needed for 10 steps; a sweep goes round over all keys, and the dead of those it saw go."""
    limit, total = FEWEST_KEYS, 0
    for _ in range(1_000):
        total += rate
        dead = max(0, total - 10 * rate)
        deleted = min(dead, dead * limit // total)
        total -= deleted
        limit = next_limit(limit, deleted)
    assert total < 10 * rate + 3 * FEWEST_KEYS + 10 * rate


def test_a_sweep_that_finds_nothing_slows_down_to_its_slowest() -> None:
    limit = MOST_KEYS
    for _ in range(10):
        limit = next_limit(limit, 0)
    assert limit == FEWEST_KEYS
    assert next_limit(limit, limit) == 2 * limit


def test_of_one_instant_the_rows_before_the_newest_go_and_each_is_as_old_as_its_time() -> None:
    (view,) = compiled({"attributes": "grace=timedelta(0)"}, ["order"])
    state = MemoryState()
    orders = (*"abc", "\x00" * 10)
    for offset, (time, order) in enumerate([(BASE, each) for each in orders] + [(BASE + 9 * DAY, "a")]):
        arrival = Arrival(oracle.Event(view.id, KEY, time, (time // 1000, 0, offset, 0), EMPTY | {"order": order}))
        step = materialize({view.id: ViewState(view)}, state, [UpdateMessage(offset, update_of(view, [arrival]))], 1)
        state.write(step.writes)
    for limit in (2, 100):
        swept([view], state, BASE + DAY + MAX_STEP, limit)
        rows = [key for key in state.entries if key.startswith(row_prefix(view.id, b""))]
        ends = [time_suffix(BASE) + encode_identity(["c"]), time_suffix(BASE + 9 * DAY) + encode_identity(["a"])]
        assert [row[len(row_prefix(view.id, Arrival(arrival.event).key)) :] for row in rows] == ends


def test_rows_of_aggregates_with_identity_go_when_those_without_do() -> None:
    (view,) = compiled({"totals": SUM}, ["order"])
    assert view.horizon is not None
    start = BASE - BASE % (3600 * SECOND)
    state = MemoryState()
    arrival = Arrival(oracle.Event(view.id, KEY, start, (start // 1000, 0, 0, 0), EMPTY | {"order": "a"}))
    state.write(
        materialize({view.id: ViewState(view)}, state, [UpdateMessage(0, update_of(view, [arrival]))], 1).writes
    )
    for clock, kept in ((start + view.horizon + DAY, 1), (start + view.horizon + DAY + 1, 0)):
        swept([view], state, clock, 100)
        assert sum(key.startswith(row_prefix(view.id, b"")) for key in state.entries) == kept
