import struct
from collections.abc import Callable
from math import nan
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.aggregation.partials import Count, Extreme, FloatSum, IntSum, Last, PartialKind
from tests.support import oracle
from tests.support.histories import FLOATS, INTEGERS, TEXTS, examples

KINDS: list[tuple[PartialKind, st.SearchStrategy[Any]]] = [
    (Count(), TEXTS),
    (IntSum(), INTEGERS),
    (FloatSum(), FLOATS),
    (Extreme(min, floats=True), FLOATS),
    (Extreme(max, floats=True), FLOATS),
    (Extreme(min, floats=False), TEXTS),
    (Extreme(max, floats=False), INTEGERS),
    (Last(1), FLOATS),
    (Last(3), st.booleans()),
]


@pytest.mark.parametrize(("kind", "values"), KINDS, ids=lambda item: repr(item)[:40])
@given(data=st.data())
@examples(25)
def test_the_lift_of_all_rows_is_any_merge_of_lifts(
    kind: PartialKind, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    rows = data.draw(st.lists(st.tuples(st.integers(0, 2**53), st.none() | values), min_size=1, unique_by=_time))
    groups = data.draw(st.lists(st.integers(0, 4), min_size=len(rows), max_size=len(rows)))
    random = data.draw(st.randoms(use_true_random=False))
    whole = kind.lift(*_columns(rows))
    parts = [[row for row, group in zip(rows, groups, strict=True) if group == each] for each in set(groups)]
    random.shuffle(parts)
    lifted = [_through_bytes(kind.lift(*_columns(_shuffled(part, random)))) for part in parts]
    assert msgspec.msgpack.encode(kind.merge(lifted)) == msgspec.msgpack.encode(whole)
    nested = [kind.merge(lifted[:1]), *lifted[1:]]
    for _ in range(len(nested) - 1):
        nested = [kind.merge(nested[-2:]), *nested[:-2]]
    assert msgspec.msgpack.encode(nested[0]) == msgspec.msgpack.encode(whole)


@pytest.mark.parametrize("choose", [min, max])
def test_all_nans_are_one(choose: Callable[..., Any]) -> None:
    kind = Extreme(choose, floats=True)
    (other,) = struct.unpack("d", struct.pack("Q", 0xFFF8000000000001))
    found = [kind.lift([1], [other]), kind.lift([1, 2], [nan, other]), kind.lift([1, 2], [other, nan])]
    found += [kind.merge([[other]]), kind.merge([[other], [nan]])]
    assert {msgspec.msgpack.encode(partial) for partial in found} == {msgspec.msgpack.encode([nan])}


def _time(row: tuple[int, Any]) -> int:
    return row[0]


def _columns(rows: list[tuple[int, Any]]) -> tuple[list[int], list[Any]]:
    return [time for time, _ in rows], [value for _, value in rows]


def _shuffled(rows: list[tuple[int, Any]], random: Random) -> list[tuple[int, Any]]:
    return random.sample(rows, len(rows))


def _through_bytes(partial: Any) -> Any:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(partial))


def test_a_sum_of_integers_beyond_64_bits_is_text_and_comes_back() -> None:
    top = 2**63 - 1
    beyond = IntSum().lift([1, 2], [top, top])
    assert beyond == str(2 * top)
    assert IntSum().merge([beyond, -top]) == top
    assert IntSum().lift([1], [None]) == 0


def test_nan_is_greater_than_every_number() -> None:
    assert Extreme(min, floats=True).lift([1, 2], [float("nan"), float("inf")]) == [float("inf")]
    (greatest,) = Extreme(max, floats=True).lift([1, 2], [float("inf"), float("nan")])
    assert greatest != greatest  # noqa: PLR0124 - how one asks for NaN


def test_minus_zero_is_less_than_zero() -> None:
    for zeros in ([0.0, -0.0], [-0.0, 0.0]):
        assert oracle.same(Extreme(min, floats=True).lift([1, 2], zeros), [-0.0])
        assert oracle.same(Extreme(max, floats=True).lift([1, 2], zeros), [0.0])


def test_last_keeps_the_newest_values_that_are_not_null_oldest_first() -> None:
    assert Last(2).lift([3, 1, 2, 4], ["c", "a", "b", None]) == [2, "b", 3, "c"]
    assert Last(2).merge([[2, "b"], [9, "z"], [1, "a"]]) == [2, "b", 9, "z"]
    assert Last(2).lift([1], [None]) == []
