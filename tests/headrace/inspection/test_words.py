from datetime import UTC, datetime

import pytest

from headrace.inspection.words import append_time_text, counted, duration_words, json_text, time_text, type_text
from schemas.instants import DAY, HOUR, MINUTE, SECOND
from schemas.types import Array, DataType, Field, Int64, Map, String, Struct


def test_one_is_not_several() -> None:
    assert (counted(1, "row"), counted(0, "row"), counted(1200, "row")) == ("1 row", "0 rows", "1,200 rows")


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "0 seconds"),
        (SECOND, "1 second"),
        (90 * MINUTE, "1 hour 30 minutes"),
        (8 * DAY + 10 * MINUTE, "8 days 10 minutes"),
        (1_000 * DAY, "1,000 days"),
        (-HOUR, "-1 hour"),
        (SECOND + 5, "1 second 5 µs"),
    ],
)
def test_a_duration_is_told_in_whole_units(micros: int, text: str) -> None:
    assert duration_words(micros) == text


def test_instants_are_told_in_utc() -> None:
    assert time_text(1_500_000) == "1970-01-01T00:00:01.500000Z"
    assert append_time_text(1_500) == "1970-01-01T00:00:01.500000Z"


def test_an_instant_that_no_calendar_has_stays_a_number() -> None:
    assert time_text(2**62) == f"{2**62} µs"


def test_an_append_time_that_is_not_known_is_empty() -> None:
    assert append_time_text(0) == append_time_text(-1) == ""


@pytest.mark.parametrize(
    ("dtype", "text"),
    [
        (Int64, "int64"),
        (Array(Map(String)), "array(map(string))"),
        (Struct((Field("a", Int64), Field("b", Array(String)))), "struct(a int64, b array(string))"),
    ],
)
def test_types_have_the_names_that_apis_use(dtype: DataType, text: str) -> None:
    assert type_text(dtype) == text


def test_a_record_is_shown_as_json() -> None:
    record = {"at": datetime(2026, 1, 1, tzinfo=UTC), "x": float("nan"), "tags": ["a", None]}
    assert json_text(record) == '{"at":"2026-01-01T00:00:00Z","x":null,"tags":["a",null]}'
