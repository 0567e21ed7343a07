from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.definitions.plan import ViewPlan
from schemas.definitions.tile_budget import text_limit
from schemas.errors import RecordError
from schemas.instants import micros
from schemas.limits import MAX_IDENTITY_BYTES, MAX_JOIN_KEY_BYTES
from schemas.records.rows import compile_row_builder
from schemas.state.keys import encode_join_keys
from tests.support.repositories import WITH_IDENTITY, plan_of, view, view_plan

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
SCHEMA = """, schema=[
    Field("x", Float64, required=False), Field("count", Int64, required=False), Field("flag", Bool, required=False),
    Field("name", String, required=False), Field("seen", Timestamp, required=False),
    Field("list", Array(Int64), required=False), Field("map", Map(Float64), required=False),
    Field("struct", Struct((Field("a", Int64), Field("b", Array(String), required=False))), required=False)]"""
BASE = {"user": "u", "at": AT}


@pytest.fixture(scope="module")
def plan() -> ViewPlan:
    return view_plan(view(options=SCHEMA))


def column(plan: ViewPlan, row: Mapping[str, Any], name: str) -> Any:
    _, _, values = compile_row_builder(plan)({**BASE, **row})
    return values[[each.name for each in plan.columns].index(name)]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("x", 1.5, 1.5),
        ("x", 2, 2.0),
        ("x", None, None),
        ("count", -(2**63), -(2**63)),
        ("flag", True, True),
        ("name", "é\x00", "é\x00"),
        ("seen", AT, 1_767_323_045_678_901),
        ("list", (1, None), [1, None]),
        ("list", [], []),
        ("map", {"a": 1, "b": None}, {"a": 1.0, "b": None}),
        ("struct", {"a": 1, "b": ["x"], "other": 9}, {"a": 1, "b": ["x"]}),
        ("struct", {"a": 1}, {"a": 1, "b": None}),
    ],
)
def test_values_become_those_of_their_columns(plan: ViewPlan, name: str, value: Any, expected: Any) -> None:
    got = column(plan, {name: value}, name)
    assert got == expected
    assert type(got) is type(expected)


class NotATime(datetime):
    """Behaves as pandas' NaT: a datetime whose differences are no numbers."""

    def __sub__(self, other: object) -> Any:
        return Nothing()

    def replace(self, *_: object, **__: object) -> Any:
        return self


class Nothing:
    def __floordiv__(self, other: object) -> float:
        return float("nan")


@pytest.mark.parametrize(
    ("name", "value", "came"),
    [
        ("x", "1.5", "float64, the function returned str '1.5'"),
        ("x", True, "float64, the function returned bool True"),
        ("x", 10**400, "float64, the function returned int 1000000"),
        ("count", 1.0, "int64, the function returned float 1.0"),
        ("count", True, "int64, the function returned bool True"),
        ("count", 2**63, "int64, the function returned int 9223372036854775808"),
        ("flag", 1, "boolean, the function returned int 1"),
        ("map", {"a": 1.0, 5: 2.0}, "map, the function returned dict"),
        ("name", b"x", "string, the function returned bytes b'x'"),
        ("name", "\ud800", r"string, the function returned str '\\ud800'"),
        ("seen", 5, "timestamp, the function returned int 5"),
        ("seen", NotATime(2026, 1, 1), "timestamp, the function returned NotATime"),
        ("list", "ab", "array, the function returned str 'ab'"),
        ("list", ["a"], "array, the function returned list"),
        ("map", [1], "map, the function returned list"),
        ("map", {1: 1.0}, "map, the function returned dict"),
        ("struct", 5, "struct, the function returned int 5"),
        ("struct", {"a": "x"}, "struct, the function returned dict"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(plan: ViewPlan, name: str, value: Any, came: str) -> None:
    with pytest.raises(RecordError, match=f"view 'totals': column '{name}': expected {came}") as caught:
        column(plan, {name: value}, name)
    assert caught.value.code == "FUNCTION_FAILED"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"at": AT}, "column 'user': expected string, the function returned nothing"),
        ({"user": None, "at": AT}, "column 'user': expected string, the function returned null"),
        ({"user": "u"}, "column 'at': expected timestamp, the function returned nothing"),
    ],
)
def test_a_required_column_must_be_there(plan: ViewPlan, row: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        compile_row_builder(plan)(row)


def test_the_event_time_must_be_there_even_where_its_column_is_optional() -> None:
    plan = view_plan(view(options=', schema=[Field("x", Float64), Field("at", Timestamp, required=False)]'))
    with pytest.raises(RecordError, match="column 'at': expected timestamp, the function returned null"):
        compile_row_builder(plan)({"user": "u", "x": 1.0, "at": None})


def test_a_row_is_its_encoded_keys_its_event_time_and_the_columns_in_order() -> None:
    plan = view_plan(view())
    row = {"x": 1.0, "user": "u", "at": AT, "unknown": object()}
    assert compile_row_builder(plan)(row) == (encode_join_keys(["u"]), micros(AT), ["u", micros(AT), 1.0])


def test_an_optional_join_key_may_be_null() -> None:
    plan = view_plan(view(options=', schema=[Field("user", String, required=False), Field("x", Float64)]'))
    assert compile_row_builder(plan)({"user": None, "at": AT, "x": 1.0})[0] == encode_join_keys([None])


def test_join_keys_that_are_too_long_are_refused_with_the_longest_of_them(plan: ViewPlan) -> None:
    build = compile_row_builder(plan)
    assert len(build({**BASE, "user": "x" * 1021})[0]) == MAX_JOIN_KEY_BYTES
    with pytest.raises(RecordError) as failure:
        build({**BASE, "user": "x" * 5_000_000})
    assert failure.value.message == (
        "view 'totals': column 'user': expected at most 1,024 bytes of join keys, the function returned 5,000,003 bytes"
    )


def test_a_text_that_tiles_keep_is_a_text_of_at_most_its_length_in_bytes() -> None:
    kept = ', schema=[Field("name", String, required=False)], features=[Aggregate("last", "name", hour, n=1000)]'
    plan = view_plan(view(options=kept))
    limit = text_limit(plan)
    assert column(plan, {"name": "é" * (limit // 2)}, "name") == "é" * (limit // 2)
    with pytest.raises(RecordError, match=f"column 'name': expected at most {limit:,} bytes of text"):
        column(plan, {"name": "é" * (limit // 2 + 1)}, "name")
    with pytest.raises(RecordError, match="column 'name': expected string, the function returned int 5"):
        column(plan, {"name": 5}, "name")


IDENTIFIED = {"user": "u", "at": AT, "x": 1.0, "order": "o", "line": 2}


@pytest.fixture(scope="module")
def identified() -> ViewPlan:
    text = WITH_IDENTITY.format('["order", "line"]') + view()
    return plan_of({"views.py": text}).views["totals@V1"]


def test_identity_columns_are_in_the_row(identified: ViewPlan) -> None:
    assert compile_row_builder(identified)(IDENTIFIED)[2] == ["u", micros(AT), 1.0, "o", 2]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"line": None},
            "column 'line': expected int64, as the source has it in identity=.* returned null",
        ),
        ({"order": "x" * 120}, "column 'order': expected at most 128 bytes of identity columns, .* 132 bytes"),
    ],
)
def test_identity_columns_must_be_there_and_short(
    identified: ViewPlan, changed: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(RecordError, match=message):
        compile_row_builder(identified)({**IDENTIFIED, **changed})


def test_an_identity_of_exactly_the_limit_is_taken(identified: ViewPlan) -> None:
    longest = {**IDENTIFIED, "order": "x" * (MAX_IDENTITY_BYTES - 3 - 9)}
    assert compile_row_builder(identified)(longest)[2][3] == longest["order"]
