from typing import Any

from headrace.ingest_summary import IngestSummary
from headrace.inspection.outcomes import ORDER
from schemas.messages.updates import DROPPED, FAILED, FUTURE, ROW_OUTCOMES, WOULD_WRITE

LATE = {"source": "tx", "name": "sums", "version": "V1", "kind": "late", "message": "are late"}
ZONE = {"source": "tx", "kind": "without_zone", "message": "had no zone"}


def answer(
    *,
    errors: tuple[int, ...] = (),
    failures: tuple[tuple[int, str], ...] = (),
    became: dict[str, dict[str, int]] | None = None,
    notices: tuple[dict[str, Any], ...] = (),
) -> dict[str, Any]:
    refused = [{"index": index, "error": {"code": "INVALID_FIELD_TYPE", "message": "bad"}} for index in errors]
    no = {"code": "UDF_EXECUTION_FAILED", "message": "f.py:3, in sums: no"}
    return {
        "sources": {"tx": {"records": {"errors": refused} if refused else {}}},
        "diagnostics": {
            "feature_views": {
                "tx": [{"name": name, "version": "V1", "became": counts} for name, counts in (became or {}).items()]
            },
            "failures": [
                {"source": "tx", "index": index, "name": name, "version": "V1", "error": no} for index, name in failures
            ],
            "notices": list(notices),
        },
    }


def lines(first: int, last: int) -> list[str]:
    return [f"line {number}" for number in range(first, last + 1)]


def test_answers_are_added_up() -> None:
    summary = IngestSummary("tx", dry_run=False)
    notices = ({**LATE, "count": 2}, {**ZONE, "count": 1})
    summary.take(answer(became={"sums": {"new": 8, "late": 2}}, notices=notices), lines(1, 10))
    summary.take(answer(became={"sums": {"new": 1, "replaced": 1}}, notices=({**LATE, "count": 3},)), lines(11, 12))
    assert summary.document() == {
        "outcomes": {"ingested": 12},
        "views": {"sums@V1": {"new": 9, "replaced": 1, "late": 2}},
        "notices": [
            {"about": "sums@V1", "kind": "late", "count": 5, "message": "are late"},
            {"about": "source tx", "kind": "without_zone", "count": 1, "message": "had no zone"},
        ],
        "problems": [],
    }


def test_a_record_that_one_view_failed_on_is_ingested_and_named_with_its_view() -> None:
    summary = IngestSummary("tx", dry_run=False)
    summary.take(answer(), lines(1, 10))
    summary.take(answer(errors=(0,), failures=((2, "sums"), (2, "means"))), lines(11, 14))
    assert dict(summary.outcomes) == {"ingested": 12, "ingested, not by each view": 1, "INVALID_FIELD_TYPE": 1}
    assert summary.problems == [
        "line 11: INVALID_FIELD_TYPE: bad",
        "line 13: view sums@V1: UDF_EXECUTION_FAILED: f.py:3, in sums: no",
        "line 13: view means@V1: UDF_EXECUTION_FAILED: f.py:3, in sums: no",
    ]


def test_a_dry_run_ingests_nothing() -> None:
    summary = IngestSummary("tx", dry_run=True)
    summary.take(answer(failures=((2, "sums"),)), lines(1, 3))
    assert summary.document()["outcomes"] == {
        "checked, nothing written": 2,
        "checked, would fail in a view, nothing written": 1,
    }


def test_all_that_the_api_counts_has_a_column() -> None:
    assert set(ORDER) == {*ROW_OUTCOMES, WOULD_WRITE, FUTURE, DROPPED, FAILED}
