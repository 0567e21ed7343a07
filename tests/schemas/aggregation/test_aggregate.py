"""What every function and every partial of the table promises."""

from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.aggregation.aggregate import PartialKind
from schemas.aggregation.table import accepts, bind
from schemas.types import Array, Bool, DataType, Float64, Int64, Map, String, Struct, Timestamp
from tests.support.aggregates import bound_functions
from tests.support.histories import FLOATS, INTEGERS, TEXTS, examples

VALUES: dict[DataType, st.SearchStrategy[Any]] = {
    Bool: st.booleans(),
    Float64: FLOATS,
    Int64: INTEGERS,
    String: TEXTS,
    Timestamp: st.integers(-(2**53), 2**53),
}
COMPOSED = (Array(Int64), Map(Int64), Struct(()))

FUNCTIONS = [bind(name, parameters) for name, parameters in bound_functions()]
COLUMNS = [(function, column) for function in FUNCTIONS for column in VALUES if accepts(function, column)]
KINDS: dict[PartialKind, st.SearchStrategy[Any]] = {
    kind: VALUES[column] for function, column in COLUMNS for kind in function.partials(column)
}


@pytest.mark.parametrize(("kind", "values"), KINDS.items(), ids=map(repr, KINDS))
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


@pytest.mark.parametrize("function", FUNCTIONS, ids=repr)
def test_a_function_over_nulls_alone_gives_what_it_gives_over_nothing(function: Any) -> None:
    for column in VALUES:
        if accepts(function, column):
            partials = [kind.lift([1, 2], [None, None]) for kind in function.partials(column)]
            assert function.finish(partials) == function.nothing


@pytest.mark.parametrize("function", FUNCTIONS, ids=repr)
def test_no_function_takes_a_composed_type(function: Any) -> None:
    assert [column for column in COMPOSED if accepts(function, column)] == []


def _time(row: tuple[int, Any]) -> int:
    return row[0]


def _columns(rows: list[tuple[int, Any]]) -> tuple[list[int], list[Any]]:
    return [time for time, _ in rows], [value for _, value in rows]


def _shuffled(rows: list[tuple[int, Any]], random: Random) -> list[tuple[int, Any]]:
    return random.sample(rows, len(rows))


def _through_bytes(partial: Any) -> Any:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(partial))
