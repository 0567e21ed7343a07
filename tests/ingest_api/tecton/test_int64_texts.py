from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_api.tecton.int64_texts import int64_texts
from schemas.types import INT64_MAX, INT64_MIN, Array, Field, Float64, Int64, Map, String, Struct

NESTED = (
    Field("number", Int64),
    Field("text", String),
    Field("list", Array(Int64)),
    Field("by_name", Map(Struct((Field("count", Int64), Field("note", String))))),
    Field("texts", Array(String)),
    Field("point", Struct((Field("x", Float64),))),
)


@given(st.integers(INT64_MIN, INT64_MAX))
def test_decimal_text_is_the_number(number: int) -> None:
    assert int64_texts((Field("n", Int64),))({"n": str(number)}) == {"n": number}


def test_texts_of_int64_become_numbers_however_deep_and_others_stay() -> None:
    record = {
        "number": "1",
        "text": "2",
        "list": ["3", 4, None],
        "by_name": {"a": {"count": "5", "note": "6"}, "b": None},
        "texts": ["7"],
        "point": {"x": "8"},
        "unknown": "9",
    }
    assert int64_texts(NESTED)(record) == record | {
        "number": 1,
        "list": [3, 4, None],
        "by_name": {"a": {"count": 5, "note": "6"}, "b": None},
    }


@pytest.mark.parametrize(
    "value", ["", "-", "+1", "1.0", "1e3", " 1", "\uff11", "12345678901234567890", True, 1.5, None, [], {}]
)
def test_what_is_no_decimal_text_is_left_to_the_validator(value: Any) -> None:
    assert int64_texts((Field("n", Int64),))({"n": value}) == {"n": value}


@pytest.mark.parametrize("record", [None, 1, "x", [], {"list": 1, "by_name": [], "point": "x"}])
def test_other_shapes_are_left_to_the_validator(record: Any) -> None:
    assert int64_texts(NESTED)(record) == record


def test_a_source_without_whole_numbers_costs_nothing() -> None:
    record = {"x": "1"}
    assert int64_texts((Field("x", String), Field("y", Array(Float64))))(record) is record
