from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from processors.materialize.fold import Materialization, ViewState, materialize
from schemas.definitions.plan import ViewPlan
from schemas.messages.updates import (
    EQUAL,
    LATE,
    NEW,
    OFFLINE_ONLY,
    REPLACED,
    SUPERSEDED,
    UNKNOWN,
    UpdateMessage,
    decode_update,
    encode_update,
)
from schemas.state.keys import NEXT_OFFSET, row_prefix, tile_prefix, watermark_key
from schemas.state.values import VERSION_BYTES, decode
from serving.reads.views import view_reader
from tests.support import oracle
from tests.support.histories import (
    BASE,
    SECOND,
    Arrival,
    History,
    by_partition,
    compiled,
    examples,
    histories,
    micros,
    update_of,
    updates_of,
)
from tests.support.memory_state import MemoryState

MINUTE = 60 * SECOND
EMPTY = {"flag": None, "text": None, "whole": None, "x": None, "y": None}
KEY = ("a", 1)


def states(views: Sequence[ViewPlan]) -> dict[int, ViewState]:
    return {view.id: ViewState(view) for view in views}


def batches_of(items: Sequence[Arrival], cuts: Sequence[int]) -> list[Sequence[Arrival]]:
    bounds = [0, *sorted({min(cut, len(items)) for cut in cuts}), len(items)]
    return [items[a:b] for a, b in pairwise(bounds)]


def folded(history: History, arrivals: Sequence[Arrival], cuts: Sequence[int]) -> MemoryState:
    """Returns the state after the rows, taken through their messages in batches that end at ``cuts``."""
    views, state, offset = states(history.views), MemoryState(), 0
    for batch in batches_of(arrivals, cuts):
        sent = [encode_update(update) for update in updates_of(history, batch)]
        messages = [UpdateMessage(offset + number, decode_update(data)) for number, data in enumerate(sent)]
        offset += len(sent)
        state.write(materialize(views, state, messages, offset).writes)
    return state


def data_of(state: MemoryState) -> dict[bytes, bytes]:
    return {key: value for key, value in state.entries.items() if key != NEXT_OFFSET}


CUTS = st.lists(st.integers(0, 40), max_size=6)


@given(histories(), st.integers(1, 4), CUTS)
@examples(120)
def test_every_read_equals_the_oracle(history: History, partitions: int, cuts: list[int]) -> None:
    folds = [folded(history, split, cuts) for split in by_partition(history.arrivals, partitions)]
    partition_of_key = {
        arrival.key: number
        for number, split in enumerate(by_partition(history.arrivals, partitions))
        for arrival in split
    }
    for view, judge in zip(history.views, history.judges, strict=True):
        reader = view_reader(view)
        for key in history.keys:
            encoded = Arrival(oracle.Event(view.id, key, 0, (0, 0, 0, 0), {})).key
            for now in history.reads:
                got = reader.read(folds[partition_of_key.get(encoded, 0)], encoded, now)
                expected = oracle.answer(judge, history.events(), key, now)
                assert oracle.same([list(got.values), got.effective_time], list(expected)), (got, expected)


@given(histories(), CUTS, CUTS)
@examples(40)
def test_state_is_the_same_whatever_the_batches(history: History, some: list[int], others: list[int]) -> None:
    assert data_of(folded(history, history.arrivals, some)) == data_of(folded(history, history.arrivals, others))


@given(histories(), st.randoms(use_true_random=False), CUTS, CUTS)
@examples(40)
def test_state_is_the_same_whatever_the_order_of_arrival(
    history: History, random: Random, some: list[int], others: list[int]
) -> None:
    shuffled = list(history.arrivals)
    random.shuffle(shuffled)
    assert data_of(folded(history, shuffled, some)) == data_of(folded(history, history.arrivals, others))


@given(histories(), CUTS)
@examples(20)
def test_a_replay_of_the_whole_log_changes_nothing(history: History, cuts: list[int]) -> None:
    once = folded(history, history.arrivals, cuts)
    twice = folded(history, [*history.arrivals, *history.arrivals], [*cuts, len(history.arrivals)])
    assert data_of(once) == data_of(twice)


TILED = f'aggregation_interval={micros(MINUTE)}, features=[Aggregate("sum", "x", {micros(10 * MINUTE)}, name="total")]'
BY_TILE = {"tiled": TILED}


def event(time: int, x: float | None, *, appended: int | None = None, partition: int = 0, offset: int = 0) -> Arrival:
    version = (time // 1000 if appended is None else appended, partition, offset, 0)
    return Arrival(oracle.Event(1, KEY, time, version, {**EMPTY, "x": x}))


def folded_batches(view: ViewPlan, *batches: Sequence[Arrival]) -> tuple[MemoryState, list[Materialization]]:
    state, steps = MemoryState(), []
    for number, batch in enumerate(batches):
        step = materialize({1: ViewState(view)}, state, [UpdateMessage(number, update_of(view, batch))], number + 1)
        state.write(step.writes)
        steps.append(step)
    return state, steps


def total(view: ViewPlan, state: MemoryState) -> object:
    return view_reader(view).read(state, event(0, 0).key, BASE + 2 * MINUTE).values[0]


def test_resent_event_replaces_and_never_counts_twice() -> None:
    (view,) = compiled(BY_TILE)
    state, steps = folded_batches(view, [event(BASE, 5.0)], [event(BASE, 7.0, offset=1)])
    assert total(view, state) == 7.0
    assert [step.outcomes[1] for step in steps] == [[NEW], [REPLACED]]


def test_equal_resend_moves_the_version_alone() -> None:
    (view,) = compiled(BY_TILE)
    state, steps = folded_batches(view, [event(BASE, 5.0)], [event(BASE, 5.0, offset=9)], [event(BASE, 6.0, offset=8)])
    assert total(view, state) == 5.0
    assert not [key for key in steps[1].writes if key.startswith(b"T")]
    assert [step.outcomes[1] for step in steps] == [[NEW], [EQUAL], [SUPERSEDED]]


def test_of_a_row_that_is_read_again_it_is_unknown_what_became_of_it() -> None:
    (view,) = compiled(BY_TILE)
    _, steps = folded_batches(view, [event(BASE, 5.0)], [event(BASE, 5.0)])
    assert [step.outcomes[1] for step in steps] == [[NEW], [UNKNOWN]]


def test_the_winner_of_one_batch_is_its_highest_version_and_the_rest_is_superseded() -> None:
    (view,) = compiled(BY_TILE)
    batch = [event(BASE, 1.0, offset=2), event(BASE, 2.0, offset=3), event(BASE, 4.0, offset=1)]
    state, (step,) = folded_batches(view, batch)
    assert total(view, state) == 2.0
    assert step.outcomes[1] == [NEW, REPLACED, SUPERSEDED]


def test_version_orders_by_append_time_then_partition_then_offset() -> None:
    (view,) = compiled(BY_TILE)
    appended = BASE // 1000
    ascending = [
        event(BASE, 1.0, appended=appended, partition=7, offset=900),
        event(BASE, 2.0, appended=appended + 1, partition=0, offset=900),
        event(BASE, 3.0, appended=appended + 1, partition=1, offset=5),
        event(BASE, 4.0, appended=appended + 1, partition=1, offset=6),
    ]
    for lower, higher in pairwise(ascending):
        for order in ([lower, higher], [higher, lower]):
            state, _ = folded_batches(view, *[[item] for item in order])
            assert total(view, state) == higher.event.values["x"]


def test_a_row_past_the_horizon_changes_nothing_online() -> None:
    (view,) = compiled(BY_TILE)
    assert view.horizon is not None
    appended = (BASE + view.horizon) // 1000
    for time, kept in ((BASE, True), (BASE - 1, False)):
        state, (step,) = folded_batches(view, [event(time, 1.0, appended=appended)])
        assert step.outcomes[1] == [NEW if kept else LATE]
        assert bool(data_of(state)) == kept


def test_watermark_is_the_greatest_event_time_not_later_than_its_own_log_time() -> None:
    (view,) = compiled(BY_TILE)
    future = event(BASE + 5000, 1.0, appended=BASE // 1000)
    state, _ = folded_batches(view, [event(BASE, 1.0), future])
    assert decode(state.entries[watermark_key(1)]) == BASE
    state, _ = folded_batches(view, [event(BASE + 1000, 1.0)], [event(BASE, 1.0)])
    assert decode(state.entries[watermark_key(1)]) == BASE + 1000
    state, _ = folded_batches(view, [future])
    assert state.get(watermark_key(1)) is None


def test_a_view_that_is_not_online_writes_no_state() -> None:
    (view,) = compiled({"hidden": TILED + ", online=False"})
    state, (step,) = folded_batches(view, [event(BASE, 1.0)])
    assert dict(state.entries) == {NEXT_OFFSET: b"\x01"}
    assert step.outcomes[1] == [OFFLINE_ONLY]


def test_rows_of_views_outside_the_plan_change_nothing_but_the_offset() -> None:
    (view,) = compiled(BY_TILE)
    step = materialize({}, MemoryState(), [UpdateMessage(6, update_of(view, [event(BASE, 1.0)]))], 7)
    assert step.writes == {NEXT_OFFSET: msgspec.msgpack.encode(7)}


def test_an_empty_batch_moves_the_offset() -> None:
    assert materialize({}, MemoryState(), [], 300).writes == {NEXT_OFFSET: msgspec.msgpack.encode(300)}


def test_stored_bytes_are_as_documented() -> None:
    (view,) = compiled(BY_TILE)
    state, _ = folded_batches(view, [event(BASE + 1, 0.5, partition=2, offset=3)])
    key = event(0, 0).key
    row_key = row_prefix(1, key) + (BASE + 1 + 2**63).to_bytes(8, "big")
    start = BASE - BASE % MINUTE
    tile_key = tile_prefix(1, key) + MINUTE.to_bytes(8, "big") + (start + 2**63).to_bytes(8, "big")
    version = (BASE // 1000).to_bytes(8, "big") + (2).to_bytes(4, "big") + (3).to_bytes(8, "big") + bytes(4)
    assert len(version) == VERSION_BYTES
    assert state.entries[row_key] == version + msgspec.msgpack.encode([0.5])
    assert state.entries[tile_key] == msgspec.msgpack.encode([BASE + 1, 1, [0.5]])


def test_a_changed_row_rebuilds_its_tile_together_with_new_rows_of_the_same_batch() -> None:
    (view,) = compiled(BY_TILE)
    times = [BASE - BASE % MINUTE + second * SECOND for second in range(3)]
    state, _ = folded_batches(
        view,
        [event(times[0], 1.0), event(times[1], 2.0)],
        [event(times[1], 20.0, offset=1), event(times[2], 300.0)],
    )
    assert total(view, state) == 321.0


def test_a_corrected_tile_takes_no_row_of_its_neighbours() -> None:
    (view,) = compiled(BY_TILE)
    start = BASE - BASE % MINUTE
    sides = [event(start - 1, 100.0), event(start + MINUTE, 1000.0)]
    edges = [event(start, 1.0), event(start + MINUTE - 1, 2.0)]
    corrected = [event(start, 10.0, offset=1), event(start + MINUTE - 1, 20.0, offset=1)]
    state, _ = folded_batches(view, edges, [*sides, *corrected])
    reader = view_reader(view)
    totals = [reader.read(state, event(0, 0).key, start + edge * MINUTE).values[0] for edge in (0, 1, 10, 11)]
    assert totals == [100.0, 130.0, 1030.0, 1000.0]


class CountingState(MemoryState):
    """Counts the keys that scans give out."""

    scanned = 0

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        for item in super().scan(start, end):
            self.scanned += 1
            yield item


def test_a_correction_reads_the_rows_of_one_finest_tile_and_the_tiles_within_each_coarser_one() -> None:
    (view,) = compiled(
        {"month": 'aggregation_interval=timedelta(minutes=1), features=[Aggregate("sum", "x", timedelta(days=30))]'}
    )
    coarsest = view.resolutions[-1]
    start = BASE - BASE % coarsest
    times = range(start, start + coarsest, 20 * SECOND)
    batch = [event(time, 1.0, offset=offset) for offset, time in enumerate(times)]
    state = CountingState()
    correction = [event(start + coarsest // 2, 5.0, offset=10**6)]
    for number, rows in enumerate((batch, correction)):
        state.scanned = 0
        step = materialize({1: ViewState(view)}, state, [UpdateMessage(number, update_of(view, rows))], number + 1)
        state.write(step.writes)
    assert len(view.resolutions) > 2
    assert step.reread == 3
    within = sum(width // finer for finer, width in pairwise(view.resolutions))
    assert state.scanned == step.reread + within < len(times) // 10
    edge = start + 2 * coarsest
    assert view_reader(view).read(state, event(0, 0).key, edge - edge % MINUTE).values == [len(times) + 4.0]


def test_an_attribute_view_keeps_rows_however_old_they_arrive() -> None:
    (view,) = compiled({"position": ""})
    state, (step,) = folded_batches(view, [event(BASE, 1.0, appended=BASE // 1000 + 10**11)])
    assert step.outcomes[1] == [NEW]
    assert view_reader(view).read(state, event(0, 0).key, BASE).effective_time == BASE


LINES = TILED.replace("features=[", f'features=[Aggregate("last", "x", {micros(10 * MINUTE)}, n=9, name="all"), ')


def line(number: int, x: float, offset: int = 0, time: int = BASE) -> Arrival:
    arrival = event(time, x, offset=offset)
    return Arrival(replace(arrival.event, values={**arrival.event.values, "line": number}))


def values_at(view: ViewPlan, state: MemoryState, now: int = BASE + 2 * MINUTE) -> Sequence[Any]:
    return view_reader(view).read(state, event(0, 0).key, now).values


def test_events_of_one_instant_that_an_identity_tells_apart_all_count_and_each_replaces_itself_alone() -> None:
    (view,) = compiled({"tiled": LINES}, ["line"])
    batches = [[line(2, 20.0), line(1, 10.0, offset=1)], [line(3, 30.0, offset=2)], [line(1, 1.0, offset=3)]]
    state, steps = folded_batches(view, *batches)
    assert values_at(view, state) == [[1.0, 20.0, 30.0], 51.0]
    assert [step.outcomes[1] for step in steps] == [[NEW, NEW], [NEW], [REPLACED]]


def test_a_rebuilt_tile_takes_every_event_of_an_instant_also_of_its_own_batch() -> None:
    (view,) = compiled({"tiled": LINES}, ["line"])
    state, _ = folded_batches(view, [line(1, 10.0), line(2, 20.0)], [line(3, 30.0, offset=1), line(2, 2.0, offset=2)])
    assert values_at(view, state) == [[10.0, 2.0, 30.0], 42.0]


def test_of_one_instant_the_greatest_identity_is_the_newest_in_whatever_order_they_came() -> None:
    (view,) = compiled({"newest": "", "unused": LINES}, ["line"])[:1]
    for order in ([line(-1, 1.0), line(7, 7.0)], [line(7, 7.0), line(-1, 1.0)]):
        state, _ = folded_batches(view, *[[each] for each in order])
        served = dict(zip([feature.name for feature in view.features], values_at(view, state), strict=True))
        assert (served["x"], served["line"]) == (7.0, 7)


def test_stored_bytes_of_a_view_with_identity_are_as_documented() -> None:
    (view,) = compiled({"tiled": LINES}, ["line"])
    state, _ = folded_batches(view, [line(1, 0.5)])
    end = (BASE + 2**63).to_bytes(8, "big") + b"\x01\x80" + bytes(6) + b"\x01" + b"\x09"
    assert row_prefix(1, event(0, 0).key) + end in state.entries
    (tile,) = (decode(value) for key, value in state.entries.items() if key.startswith(b"T"))
    assert tile == [BASE, 1, [0.5], [end, 0.5]]
