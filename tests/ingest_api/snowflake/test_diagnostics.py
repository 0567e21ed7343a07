from typing import Any

from ingest_api.ingestion.dialect import IngestResult, SourceResult
from ingest_api.ingestion.pending import Failure
from ingest_api.ingestion.sources import Source
from ingest_api.snowflake.diagnostics import diagnostics
from tests.support.repositories import plan_of, view

PLAN = plan_of(view() + view("wrong"))
TOTALS, WRONG = PLAN.views["totals@V1"], PLAN.views["wrong@V1"]
SOURCE = Source("prod", PLAN.sources["events"], (TOTALS, WRONG))
NO = Failure("FUNCTION_FAILED", "views.py:9, in wrong: ValueError: no")


def of(**sources: SourceResult) -> dict[str, Any]:
    result = IngestResult(
        workspace="prod", sources=sources, validation_seconds=0.25, ingestion_seconds=0.5, total_seconds=1.0
    )
    return diagnostics(result)


def test_all_that_became_of_a_call_is_there() -> None:
    became = {"totals@V1": {"new": 2, "late": 1}, "wrong@V1": {"new": 2, "failed": 1}}
    result = SourceResult(3, {}, [(TOTALS, None), (WRONG, NO)], SOURCE, became, {1: {"wrong@V1": NO}}, 1)
    found = of(events=result)
    late, zone = found["notices"][1].pop("message"), found["notices"][0].pop("message")
    assert late.startswith("in no feature")
    assert zone.startswith("taken as UTC")
    assert found == {
        "total_ms": 1000.0,
        "validation_ms": 250.0,
        "ingestion_ms": 500.0,
        "feature_views": {
            "events": [
                {"name": "totals", "version": "V1", "became": {"new": 2, "late": 1}},
                {"name": "wrong", "version": "V1", "became": {"new": 2, "failed": 1}},
            ]
        },
        "failures": [
            {
                "source": "events",
                "index": 1,
                "name": "wrong",
                "version": "V1",
                "error": {"code": "UDF_EXECUTION_FAILED", "message": "views.py:9, in wrong: ValueError: no"},
            }
        ],
        "notices": [
            {"source": "events", "kind": "without_zone", "count": 1},
            {"source": "events", "name": "totals", "version": "V1", "kind": "late", "count": 1},
        ],
    }


def test_a_source_that_is_not_there_has_nothing_to_tell() -> None:
    found = of(nothing=SourceResult(1, {0: ("UNKNOWN_SOURCE", "none")}, ()))
    assert (found["feature_views"], found["failures"], found["notices"]) == ({"nothing": []}, [], [])
