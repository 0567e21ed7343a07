from typing import Any

import pytest

from schemas.aggregation import table
from schemas.aggregation.aggregate import AggregateFunction
from schemas.aggregation.lasts import Last
from schemas.aggregation.table import FUNCTIONS, PARTIALS, accepts, bind, described, parameters_of, partial_kind
from schemas.errors import DefinitionError
from schemas.types import SCALARS, Array, Bool, DataType, Float64, Int64, String, Timestamp
from tests.support.aggregates import bound_functions

ALL = tuple(SCALARS.values())
NUMBERS = (Int64, Float64)
ORDERED = (Int64, Float64, String, Timestamp)


def finished(function: AggregateFunction, column: DataType, values: list[Any]) -> Any:
    """Returns what a function makes of values, the last of which is the newest."""
    return function.finish([kind.lift(range(len(values)), values) for kind in function.partials(column)])


@pytest.mark.parametrize(
    ("name", "types"),
    [("count", ALL), ("last", ALL), ("sum", NUMBERS), ("mean", NUMBERS), ("min", ORDERED), ("max", ORDERED)],
)
def test_each_function_takes_the_types_it_can_handle_and_no_others(name: str, types: tuple[DataType, ...]) -> None:
    assert tuple(dtype for dtype in SCALARS.values() if accepts(bind(name, {}), dtype)) == types


@pytest.mark.parametrize(
    ("name", "column", "parameters", "expected"),
    [
        ("count", String, {}, Int64),
        ("sum", Int64, {}, Int64),
        ("sum", Float64, {}, Float64),
        ("mean", Int64, {}, Float64),
        ("min", Timestamp, {}, Timestamp),
        ("max", String, {}, String),
        ("last", Bool, {}, Bool),
        ("last", Bool, {"n": 1}, Array(Bool)),
    ],
)
def test_output_types(name: str, column: DataType, parameters: dict[str, Any], expected: DataType) -> None:
    assert bind(name, parameters).output(column) == expected


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
    value = finished(bind(name, {}), column, values)
    assert value == expected
    assert type(value) is type(expected)


def test_names_of_functions_in_feature_names() -> None:
    assert all(bind(name, {}).text().startswith(name) for name in FUNCTIONS)
    assert [bind(name, {}).text() for name in ("count", "sum", "last")] == ["count", "sum", "last"]
    assert FUNCTIONS["last"](n=3).text() == "last_3"


def test_different_parameters_have_different_names() -> None:
    texts = [bind(name, parameters).text() for name, parameters in bound_functions()]
    assert len(set(texts)) == len(texts)


def test_a_bound_function_is_a_value() -> None:
    for name, parameters in bound_functions():
        assert bind(name, parameters) == bind(name, parameters)
        assert {bind(name, parameters), bind(name, parameters)} == {bind(name, parameters)}


def test_each_partial_comes_back_from_what_a_plan_stores_of_it() -> None:
    found = set()
    for name, parameters in bound_functions():
        function = bind(name, parameters)
        for column in (column for column in ALL if accepts(function, column)):
            for kind in function.partials(column):
                stored, given = described(kind)
                assert partial_kind(stored, given) == kind
                found.add(stored)
    assert found == set(PARTIALS)


@pytest.mark.parametrize(
    ("function", "parameters", "problem"),
    [
        ("median", {}, f"unknown function; expected one of {', '.join(FUNCTIONS)}"),
        ("sum", {"n": 2}, "n=2 is not for 'sum'; remove it"),
        ("last", {"m": 2}, "m=2 is not for 'last'; it takes n"),
        ("last", {"n": 0}, "n=0 must be 1..1000"),
        ("last", {"n": 1001}, "n=1001 must be 1..1000"),
        ("last", {"n": "2"}, "n='2' must be 1..1000"),
        ("last", {"n": True}, "n=True must be 1..1000"),
    ],
)
def test_what_cannot_be_bound_says_why(function: str, parameters: dict[str, Any], problem: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        bind(function, parameters)
    assert refused.value.message == problem


def test_the_parameters_of_a_function_are_its_fields() -> None:
    assert (parameters_of("count"), parameters_of("last")) == ((), ("n",))


def test_a_parameter_without_a_default_must_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(table.FUNCTIONS, "newest", Last)
    with pytest.raises(DefinitionError, match="n is missing; 'newest' needs it"):
        bind("newest", {})


def test_a_partial_of_a_later_version_is_told_by_its_name() -> None:
    with pytest.raises(DefinitionError, match="does not know the partial 'later'; upgrade Headrace"):
        partial_kind("later", {})
