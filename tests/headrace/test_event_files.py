import io
from typing import Any

import pytest

from headrace.event_files import CSV_HINT, read_events
from schemas.errors import RequestError


def read(text: str | bytes, name: str = "events.jsonl") -> tuple[list[Any], str]:
    """Returns the records that are yielded, and the problem that ends it."""
    file = io.BytesIO(text.encode() if isinstance(text, str) else text)
    file.name = name
    events = []
    try:
        for event in read_events(file):
            events.append(event.record)  # noqa: PERF401 - what came before the error is wanted
    except RequestError as error:
        return events, error.message
    return events, ""


@pytest.mark.parametrize("text", ['{"a": 1}\n\n{"a": 2}\n', '[{"a": 1},\n{"a": 2}]', '\n [{"a": 1}, {"a": 2}]'])
def test_lines_and_arrays_are_read(text: str) -> None:
    assert read(text) == ([{"a": 1}, {"a": 2}], "")


@pytest.mark.parametrize(
    ("text", "places"),
    [('{"a": 1}\n\n{"a": 2}\n', ["line 1", "line 3"]), ('\n[{"a": 1},\n{"a": 2}]', ["record 1", "record 2"])],
)
def test_each_event_says_where_it_stands(text: str, places: list[str]) -> None:
    assert [event.place for event in read_events(io.BytesIO(text.encode()))] == places


def test_what_comes_before_a_broken_line_is_yielded_and_the_line_is_named() -> None:
    events, problem = read('{"a": 1}\n{"a": }\n{"a": 3}\n')
    assert events == [{"a": 1}]
    assert problem.startswith("events.jsonl, line 2: expected one JSON object in each line: ")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"a": 1}\n{"a": 2', "line 2: expected one JSON object in each line: Expecting ',' delimiter at column 8"),
        ('{"a": 1}\n{"a": 2\n', "line 2: expected one JSON object in each line: Expecting ',' delimiter at column 8"),
        ('\n[{"a": 1},\n {"a": }]', "line 3: begins with [ but is no JSON array: Expecting value at column 8"),
    ],
)
def test_line_and_column_are_those_of_the_file(text: str, place: str) -> None:
    assert read(text)[1] == f"events.jsonl, {place}"


@pytest.mark.parametrize("text", ['{"a": 1}\n', '[{"a": 1}]', '\n{"a": 1}'])
def test_a_byte_order_mark_is_passed_over(text: str) -> None:
    assert read(b"\xef\xbb\xbf" + text.encode()) == ([{"a": 1}], "")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("customer,amount\n1,2\n", "purchases"),
        ("customer\n1\n", "purchases.CSV"),
        ("\ufeffcustomer,amount\n", "purchases"),
        ('"customer";"amount"\n', "purchases.csv"),
        ("user_id\tamount\n", "x.tsv"),
    ],
)
def test_a_table_is_named_as_one(text: str, name: str) -> None:
    events, problem = read(text, name)
    assert events == []
    assert problem == f"{name}, line 1: expected one JSON object in each line: {CSV_HINT}"


@pytest.mark.parametrize("text", ['{"a": }\n', "nothing\n", '"one", "two"\n'])
def test_what_is_no_table_is_not_called_one(text: str) -> None:
    _, problem = read(text)
    assert "CSV" not in problem
    assert "line 1" in problem


def test_json_lines_in_a_file_of_another_name_are_read() -> None:
    assert read('{"a": 1}\n', "export.csv") == ([{"a": 1}], "")


@pytest.mark.parametrize("text", [b'{"a": NaN}\n', b'{"a": "\xff"}\n', b'[{"a": 1}, {"a": NaN}]'])
def test_what_json_has_not_is_refused_with_its_line(text: bytes) -> None:
    assert "line 1" in read(text)[1]
