from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from processors.materialize.fold import ViewState, materialize
from schemas.definitions.plan import ViewPlan
from schemas.limits import MAX_TILES_READ
from schemas.messages.updates import UpdateMessage
from serving.reads.views import ViewValues, view_reader
from tests.support import oracle
from tests.support.histories import BASE, SECOND, Arrival, compiled, examples, micros, update_of
from tests.support.memory_state import MemoryState
from tests.support.oracle_text import view_of_text

MINUTE = 60 * SECOND
KEY = ("a", 1)
EMPTY = {"flag": None, "text": None, "whole": None, "x": None, "y": None}
START = BASE - BASE % (60 * MINUTE)


def options(*features: str, interval: int = 0) -> str:
    grain = f"aggregation_interval={micros(interval)}, " if interval else ""
    return f"{grain}features=[{', '.join(features)}]"


def aggregate_view(*features: str, interval: int = 0) -> ViewPlan:
    (view,) = compiled({"v": options(*features, interval=interval)})
    return view


def aggregate(function: str, column: str, window: int, *, offset: int = 0, n: int | None = None) -> str:
    name = f"{function}_{column}_{window}_{offset}_{n}"
    return f'Aggregate("{function}", "{column}", {micros(window)}, offset={micros(offset)}, n={n}, name="{name}")'


def events(*pairs: tuple[int, dict[str, Any]]) -> list[Arrival]:
    return [
        Arrival(oracle.Event(1, KEY, time, (time // 1000, 0, offset, 0), {**EMPTY, **values}))
        for offset, (time, values) in enumerate(pairs)
    ]


def state_of(view: ViewPlan, arrivals: list[Arrival]) -> MemoryState:
    state = MemoryState()
    if arrivals:
        state.write(materialize({1: ViewState(view)}, state, [UpdateMessage(0, update_of(view, arrivals))], 1).writes)
    return state


def read(view: ViewPlan, state: MemoryState, now: int, key: tuple[Any, ...] = KEY) -> ViewValues:
    return view_reader(view).read(state, Arrival(oracle.Event(1, key, 0, (0, 0, 0, 0), {})).key, now)


def x(view: ViewPlan, arrivals: list[Arrival], now: int) -> Any:
    return read(view, state_of(view, arrivals), now).values[0]


def test_tiled_window_takes_its_start_and_leaves_its_end() -> None:
    view = aggregate_view(aggregate("sum", "x", 2 * MINUTE), interval=MINUTE)
    rows = [(START, 1.0), (START + MINUTE, 10.0), (START + 2 * MINUTE - 1, 100.0), (START + 2 * MINUTE, 1000.0)]
    arrivals = events(*((time, {"x": value}) for time, value in rows))
    assert x(view, arrivals, START + 2 * MINUTE) == 111.0
    assert x(view, arrivals, START + 2 * MINUTE - 1) == 1.0
    assert x(view, arrivals, START + 3 * MINUTE) == 1110.0


def test_an_incomplete_tile_is_not_served() -> None:
    view = aggregate_view(aggregate("sum", "x", MINUTE), interval=MINUTE)
    arrivals = events((START, {"x": 1.0}))
    assert x(view, arrivals, START + MINUTE - 1) is None
    assert x(view, arrivals, START + MINUTE) == 1.0


def test_continuous_window_leaves_its_start_and_takes_its_end() -> None:
    view = aggregate_view(aggregate("sum", "x", 10 * MINUTE))
    arrivals = events((START, {"x": 1.0}), (START + 1, {"x": 10.0}), (START + 10 * MINUTE, {"x": 100.0}))
    assert x(view, arrivals, START + 10 * MINUTE) == 110.0
    assert x(view, arrivals, START + 10 * MINUTE - 1) == 11.0
    assert x(view, arrivals, START) == 1.0


def test_offset_shifts_both_ends() -> None:
    view = aggregate_view(aggregate("sum", "x", 10 * MINUTE, offset=MINUTE))
    arrivals = events((START, {"x": 1.0}), (START + 1, {"x": 10.0}), (START + 10 * MINUTE, {"x": 100.0}))
    assert x(view, arrivals, START + 11 * MINUTE) == 110.0
    assert x(view, arrivals, START + 11 * MINUTE - 1) == 11.0


def test_effective_time_of_aggregates_is_the_leading_edge() -> None:
    tiled = aggregate_view(aggregate("count", "x", MINUTE), interval=MINUTE)
    assert read(tiled, MemoryState(), START + MINUTE + 5).effective_time == START + MINUTE
    continuous = aggregate_view(aggregate("count", "x", MINUTE))
    assert read(continuous, MemoryState(), START + 5).effective_time == START + 5


def test_an_empty_window_has_no_value_not_even_a_count() -> None:
    view = aggregate_view(aggregate("count", "x", MINUTE), interval=MINUTE)
    assert read(view, MemoryState(), START).values == [None]


def test_nulls_are_left_out_and_a_window_of_nulls_counts_zero() -> None:
    functions = ("count", "sum", "mean", "min", "max", "last")
    view = aggregate_view(*(aggregate(function, "x", MINUTE) for function in functions))
    by_name = {feature.function: position for position, feature in enumerate(view.features)}
    nulls = read(view, state_of(view, events((START, {"x": None}))), START).values
    assert {name: nulls[position] for name, position in by_name.items()} == dict.fromkeys(functions) | {"count": 0}
    both = read(view, state_of(view, events((START, {"x": None}), (START + 1, {"x": 2.5}))), START + 1).values
    expected = dict.fromkeys(functions, 2.5) | {"count": 1}
    assert {name: both[position] for name, position in by_name.items()} == expected


def test_last_n_is_oldest_first() -> None:
    view = aggregate_view(aggregate("last", "text", 10 * MINUTE, n=2))
    arrivals = events(*((START + number * MINUTE, {"text": text}) for number, text in enumerate("cab")))
    assert x(view, arrivals, START + 2 * MINUTE) == ["a", "b"]
    assert x(view, arrivals, START) == ["c"]


def test_attribute_view_serves_the_newest_row_at_or_before_the_edge() -> None:
    (view,) = compiled({"v": ""})
    position = [feature.name for feature in view.features].index("text")
    state = state_of(view, events((START, {"text": "old"}), (START + 10, {"text": "future"})))
    assert [read(view, state, now).values[position] for now in (START - 1, START, START + 9, START + 10)] == [
        None,
        "old",
        "old",
        "future",
    ]
    assert [read(view, state, now).effective_time for now in (START - 1, START + 9)] == [None, START]


def test_a_row_is_served_until_its_ttl_ends() -> None:
    (view,) = compiled({"v": f"ttl={micros(MINUTE)}"})
    state = state_of(view, events((START, {"text": "here"})))
    assert read(view, state, START + MINUTE - 1).effective_time == START
    assert read(view, state, START + MINUTE).effective_time is None


def test_a_null_column_of_the_newest_row_stays_null() -> None:
    (view,) = compiled({"v": ""})
    state = state_of(view, events((START, {"text": "old"}), (START + 1, {"text": None})))
    assert set(read(view, state, START + 1).values) == {None}


def test_keys_that_share_a_beginning_do_not_share_values() -> None:
    view = aggregate_view(aggregate("sum", "x", MINUTE))
    state = state_of(view, events((START, {"x": 1.0})))
    for other in (("a", None), ("a\x00", 1), ("", 1), ("a", -1), (None, 1), ("a", 256)):
        assert read(view, state, START, other).values == [None]


class CountingState(MemoryState):
    """Counts what reads touch."""

    touched = 0
    scans = 0

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        self.scans += 1
        for item in super().scan(start, end):
            self.touched += 1
            yield item


@given(st.sampled_from((1, 5, 60, 600, 3600)), st.integers(1, 9000), st.integers(0, 9000 * 60))
@examples(15)
def test_a_tiled_read_touches_few_tiles_and_equals_the_oracle(interval: int, tiles: int, shift: int) -> None:
    tiles = min(tiles, 3000)
    text = options(aggregate("sum", "x", tiles * interval * SECOND), interval=interval * SECOND)
    (view,) = compiled({"v": text})
    judge = view_of_text(text, view.id, [])
    step = max(1, tiles // 400)
    arrivals = events(*((START + n * interval * SECOND, {"x": 0.1 * n}) for n in range(0, tiles, step)))
    state = CountingState(state_of(view, arrivals).entries)
    now = START + (tiles * interval + shift % (tiles * interval)) * SECOND
    got = read(view, state, now)
    assert state.touched <= MAX_TILES_READ
    expected, edge = oracle.answer(judge, [arrival.event for arrival in arrivals], KEY, now)
    assert oracle.same([list(got.values), got.effective_time], [expected, edge])


def test_windows_that_overlap_read_each_stretch_of_state_once() -> None:
    lengths = (MINUTE, 2 * MINUTE, 3 * MINUTE)
    view = aggregate_view(*(aggregate("count", "x", length) for length in lengths), interval=MINUTE)
    arrivals = events(*((START + n * MINUTE, {"x": 1.0}) for n in range(3)))
    state = CountingState(state_of(view, arrivals).entries)
    assert sorted(read(view, state, START + 3 * MINUTE).values) == [1, 2, 3]
    assert state.touched == 3


def test_windows_that_touch_or_overlap_in_part_are_read_as_one_and_keep_apart() -> None:
    spans = {"newest": (1, 0), "before": (1, 1), "oldest": (1, 2), "across": (2, 1), "all": (3, 0)}
    features = (
        f'Aggregate("sum", "x", {micros(minutes * MINUTE)}, offset={micros(offset * MINUTE)}, name="{name}")'
        for name, (minutes, offset) in spans.items()
    )
    view = aggregate_view(*features, interval=MINUTE)
    arrivals = events(*((START + n * MINUTE, {"x": 10.0**n}) for n in range(4)))
    for names, scans in ((spans, 1), (("newest", "before"), 1), (("newest", "oldest"), 2), (("oldest", "across"), 1)):
        state = CountingState(state_of(view, arrivals).entries)
        some = msgspec.structs.replace(view, features=tuple(each for each in view.features if each.name in names))
        values = dict(
            zip([each.name for each in some.features], read(some, state, START + 3 * MINUTE).values, strict=True)
        )
        expected = {"newest": 100.0, "before": 10.0, "oldest": 1.0, "across": 11.0, "all": 111.0}
        assert values == {name: expected[name] for name in names}
        assert state.scans == scans


def test_a_reader_reads_at_each_edge_it_is_asked_for() -> None:
    view = aggregate_view(aggregate("sum", "x", MINUTE), interval=MINUTE)
    state = state_of(view, events((START, {"x": 1.0}), (START + MINUTE, {"x": 10.0})))
    reader, key = view_reader(view), events((START, {}))[0].key
    edges = [START + MINUTE, START + 2 * MINUTE, START + MINUTE, START + 3 * MINUTE]
    assert [reader.read(state, key, edge).values for edge in edges] == [[1.0], [10.0], [1.0], [None]]


def of_one_instant(orders: str) -> list[Arrival]:
    """An event of each of these orders, all at one time, whose text is its order."""
    return events(*((START, {"text": order, "order": order}) for order in orders))


def test_of_one_instant_the_row_of_the_greatest_identity_is_served() -> None:
    (view,) = compiled({"v": f"ttl={micros(MINUTE)}"}, ["order"])
    position = [feature.name for feature in view.features].index("text")
    for orders in ("bca", "abc"):
        found = read(view, state_of(view, of_one_instant(orders)), START + MINUTE - 1)
        assert (found.values[position], found.effective_time) == ("c", START)
    assert read(view, state_of(view, of_one_instant("a")), START + MINUTE).effective_time is None


def test_last_n_has_events_of_one_instant_in_the_order_of_their_identity() -> None:
    (view,) = compiled({"v": options(aggregate("last", "text", 10 * MINUTE, n=3))}, ["order"])
    later = events((START + MINUTE, {"text": "later", "order": "a"}))
    # From rows at the edge of a window, from a tile in its middle, and from both.
    for now, found in ((START, list("bcd")), (START + MINUTE, ["c", "d", "later"])):
        assert x(view, [*of_one_instant("dbca"), *later], now) == found
    assert x(view, of_one_instant("dbca"), START + 5 * MINUTE) == list("bcd")
