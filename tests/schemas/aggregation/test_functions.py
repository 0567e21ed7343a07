from typing import Any

import pytest

from schemas.aggregation.functions import FUNCTIONS, accepts, is_out_of_range
from schemas.types import Array, Bool, DataType, Float64, Int64, Map, String, Struct, Timestamp

SCALARS = (Int64, Float64, String, Bool, Timestamp)
NUMBERS = (Int64, Float64)
ORDERED = (Int64, Float64, String, Timestamp)


def finished(name: str, column: DataType, values: list[Any], n: int | None = None) -> Any:
    function = FUNCTIONS[name]
    partials = [kind.lift(range(len(values)), values) for _, kind in function.partials(column, n)]
    return function.finish(partials, n)


@pytest.mark.parametrize(
    ("name", "types"),
    [("count", SCALARS), ("last", SCALARS), ("sum", NUMBERS), ("mean", NUMBERS), ("min", ORDERED), ("max", ORDERED)],
)
def test_each_function_takes_the_types_it_can_handle_and_no_others(name: str, types: tuple[DataType, ...]) -> None:
    every = (*SCALARS, Array(Int64), Map(Int64), Struct(()))
    assert tuple(dtype for dtype in every if accepts(FUNCTIONS[name], dtype)) == types


@pytest.mark.parametrize(
    ("name", "column", "n", "expected"),
    [
        ("count", String, None, Int64),
        ("sum", Int64, None, Int64),
        ("sum", Float64, None, Float64),
        ("mean", Int64, None, Float64),
        ("min", Timestamp, None, Timestamp),
        ("max", String, None, String),
        ("last", Bool, None, Bool),
        ("last", Bool, 1, Array(Bool)),
    ],
)
def test_output_types(name: str, column: DataType, n: int | None, expected: DataType) -> None:
    assert FUNCTIONS[name].output(column, n) == expected


@pytest.mark.parametrize(
    ("name", "column", "values", "expected"),
    [
        ("count", String, ["a", None, "b"], 2),
        ("sum", Int64, [1, None, 2], 3),
        ("sum", Int64, [2**63 - 1, 1, -1], 2**63 - 1),
        ("sum", Int64, [-(2**63)], -(2**63)),
        ("mean", Int64, [2**63 - 1, 1], 2.0**62),
        ("sum", Float64, [0.1] * 10, 1.0),
        ("mean", Int64, [1, 2], 1.5),
        ("mean", Float64, [1.0, 2.0, None], 1.5),
        ("min", String, ["b", None, "a"], "a"),
        ("max", Timestamp, [5, 7], 7),
        ("last", Int64, [5, 7, None], 7),
    ],
)
def test_values(name: str, column: DataType, values: list[Any], expected: Any) -> None:
    value = finished(name, column, values)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(("column", "zero"), [(Int64, 0), (Float64, 0.0)])
def test_a_sum_of_nothing_but_zeros_is_zero_and_not_missing(column: DataType, zero: float) -> None:
    assert finished("sum", column, [zero, zero]) == zero
    assert finished("mean", column, [zero, zero]) == zero


@pytest.mark.parametrize("values", [[2**63 - 1, 1], [-(2**63), -1], [2**63 - 1] * 5])
def test_a_sum_that_does_not_fit_in_64_bits_is_null(values: list[int]) -> None:
    assert finished("sum", Int64, values) is None
    partials = [kind.lift(range(len(values)), values) for _, kind in FUNCTIONS["sum"].partials(Int64, None)]
    assert is_out_of_range(partials)


def test_null_of_nothing_but_nulls_is_not_out_of_range() -> None:
    partials = [kind.lift([1], [None]) for _, kind in FUNCTIONS["sum"].partials(Int64, None)]
    assert not is_out_of_range(partials)


def test_a_sum_comes_back_into_range_with_the_events_that_bring_it_there() -> None:
    count, total = (kind for _, kind in FUNCTIONS["sum"].partials(Int64, None))
    beyond = [kind.lift([1, 2], [2**63 - 1, 9]) for kind in (count, total)]
    back = [kind.lift([3], [-10]) for kind in (count, total)]
    merged = [kind.merge(pair) for kind, pair in zip((count, total), zip(beyond, back, strict=True), strict=True)]
    assert FUNCTIONS["sum"].finish(merged, None) == 2**63 - 2


def test_last_n_keeps_its_list_even_of_one() -> None:
    assert finished("last", Int64, [5, 7], n=1) == [7]
    assert finished("last", Int64, [5, 7], n=9) == [5, 7]


@pytest.mark.parametrize("name", ["sum", "mean", "min", "max", "last"])
def test_nothing_but_nulls_is_null(name: str) -> None:
    assert finished(name, Float64, [None, None]) is None
    assert finished(name, Int64, [None]) is None


def test_names_of_functions_in_feature_names() -> None:
    assert [FUNCTIONS[name].text(None) for name in FUNCTIONS] == ["count", "sum", "mean", "min", "max", "last"]
    assert FUNCTIONS["last"].text(3) == "last_3"
