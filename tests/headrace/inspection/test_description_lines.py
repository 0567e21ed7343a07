from typing import Any

import pytest

from headrace.inspection.description import service_document, source_document, view_document
from headrace.inspection.description_lines import UNKNOWN_ROWS, Grid, Lines, service_lines, source_lines, view_lines
from headrace.inspection.online_rows import PartitionRows, document
from tests.support.repositories import plan_of, view

LAST = ', features=[Aggregate("last", "x", 2 * hour, n=3, name="newest")], aggregation_interval=hour'
SERVICE = '\nservice = FeatureService(name="scores", features=[totals, lasts])\n'
PLAN = plan_of(view() + view("lasts", LAST) + view("attributes", ', schema=[Field("x", Float64)], ttl=hour') + SERVICE)

LETTER = {
    "time": "2026-01-01T00:00:00Z",
    "partition": 1,
    "offset": 7,
    "problems": [{"view": "", "code": "MALFORMED", "text": "no Avro"}],
}
RECORDS: dict[str, Any] = {"records": 1_234, "newest": [], "dead_letters": 0, "newest_dead_letters": []}


def facts(lines: list[str | Grid]) -> dict[str, str]:
    pairs = (line.split("  ", 2) for line in lines if isinstance(line, str) and line.startswith("  "))
    return {pair[1].strip(): pair[-1].strip() for pair in pairs if len(pair) > 2}


def grids(lines: Lines | list[str | Grid]) -> list[Grid]:
    return [line for line in lines if isinstance(line, Grid)]


def view_shown(key: str, rows: list[PartitionRows] | None = None) -> list[str | Grid]:
    planned = PLAN.views[key]
    online = document(rows or [PartitionRows(0)])
    return list(view_lines(view_document(PLAN, planned) | {"online_rows": online}))


def test_a_source_without_records_is_shown_without_them() -> None:
    lines = list(source_lines(source_document(PLAN, PLAN.sources["events"]) | RECORDS | {"records": 0}))
    assert lines[0] == "stream source events"
    shown = facts(lines)
    assert shown["topic"] == "prod.source.events, 4 partitions"
    assert (shown["records"], shown["dead letters"]) == ("0 in Kafka now", "0 in prod.dead-letter.events")
    (columns,) = grids(lines)
    assert columns.rows[2] == ["tags", "array(string)", False]


def test_newest_events_and_dead_letters_of_a_source_are_shown() -> None:
    events = [
        {"time": "t1", "partition": 0, "offset": 3, "record": {"user": "ann"}, "problem": ""},
        {"time": "t2", "partition": 1, "offset": 7, "record": None, "problem": "no Avro"},
    ]
    held = RECORDS | {"newest": events, "dead_letters": 1, "newest_dead_letters": [LETTER]}
    lines = list(source_lines(source_document(PLAN, PLAN.sources["events"]) | held))
    _, newest, letters = grids(lines)
    assert newest.rows == [["t1", "0/3", '{"user":"ann"}'], ["t2", "1/7", "no record: no Avro"]]
    assert letters.rows == [["2026-01-01T00:00:00Z", "1/7", "MALFORMED", "(all)", "no Avro"]]
    assert facts(lines)["records"] == "1,234 in Kafka now"


def test_a_view_is_shown_with_windows_in_words_and_its_text() -> None:
    lines = view_shown("lasts@V1", [PartitionRows(0, 1_500, 2, True, 1_000_000), PartitionRows(1, 3, 1, True, None)])
    shown = facts(lines)
    assert lines[0] == "feature view lasts@V1"
    assert shown["kind"] == "tiled: windows end at the last complete 1 hour"
    assert shown["horizon"].endswith(": a row that is older when Kafka takes its record is late")
    assert shown["grace"] == "7 days"
    assert shown["join keys"] == "user string"
    assert shown["rows online"] == "1,503 of 3 keys (partition 0: 1,500, 1: 3)"
    assert shown["watermark"] == "1970-01-01T00:00:01Z"
    assert grids(lines)[1].rows == [["newest", "array(float64)", "last(n=3)", "x", "2 hours", ""]]
    assert any(isinstance(line, str) and "def lasts(record):" in line for line in lines)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([PartitionRows(0, problem="elsewhere")], UNKNOWN_ROWS),
        ([PartitionRows(0, 5, 2, False, None)], "at least 5 of at least 2 keys (partition 0: 5+)"),
        (
            [PartitionRows(0, 5, 2, True, None), PartitionRows(1, problem="gone")],
            "at least 5 of at least 2 keys (partition 0: 5); partition 1 unknown: gone",
        ),
    ],
)
def test_rows_that_are_not_all_known_are_told_so(rows: list[PartitionRows], told: str) -> None:
    assert facts(view_shown("lasts@V1", rows))["rows online"] == told


def test_an_attribute_view_has_no_horizon_and_a_continuous_one_ends_at_the_read() -> None:
    shown = facts(view_shown("attributes@V1"))
    assert (shown["horizon"], shown["ttl"]) == ("none: a row is never late", "1 hour")
    assert facts(view_shown("totals@V1"))["kind"] == "continuous: windows end at the read"


def test_a_view_that_is_not_online_has_no_rows_there() -> None:
    found = view_document(PLAN, PLAN.views["totals@V1"]) | {"online": False, "online_rows": None, "definition": None}
    lines = list(view_lines(found))
    assert facts(lines)["rows online"] == "none are kept (online=False)"
    assert facts(lines)["kept"] == "offline"
    assert "\ndefined by code of the repository whose text does not name it" in lines


def test_a_service_is_shown_with_how_it_is_read() -> None:
    lines = list(service_lines(service_document(PLAN, PLAN.services["scores"])))
    assert facts(lines)["read it with"] == "headrace get scores user=..."
    assert [row[2] for row in grids(lines)[0].rows] == ["lasts@V1", "totals@V1"]
