import json
from typing import Any

import msgspec

from ingest_api.ingestion.dialect import SourceResult
from ingest_api.ingestion.pending import Failure
from ingest_api.snowflake.responses import ingest_response
from schemas.definitions.plan import ViewPlan
from tests.support.repositories import view, view_plan

PLAN = view_plan(view())
NOT_RUN = Failure("FUNCTION_FAILED", "ValueError: no")
NOT_STORED = Failure("WRITE_ERROR", "disk full", "online", retryable=True)


def named(name: str) -> ViewPlan:
    return msgspec.structs.replace(PLAN, name=name)


def answered(sources: dict[str, SourceResult], diagnostics: dict[str, float] | None = None) -> tuple[int, Any]:
    answer = ingest_response("r-1", sources, diagnostics)
    assert answer.media_type == "application/json"
    return answer.status_code, json.loads(bytes(answer.body))


def test_all_stored_is_200_and_success() -> None:
    status, body = answered({"tx": SourceResult(2, {}, [(PLAN, None)])})
    assert (status, body) == (
        200,
        {
            "request_id": "r-1",
            "status": "success",
            "sources": {
                "tx": {
                    "records": {"total": 2, "failed": 0},
                    "feature_views": {
                        "failed": 0,
                        "results": [{"name": "totals", "version": "V1", "status": "success"}],
                    },
                }
            },
        },
    )


def test_one_refused_record_is_207_and_said_by_its_index() -> None:
    errors = {7: ("UNKNOWN_FIELD", "b"), 2: ("MISSING_REQUIRED_FIELD", "a")}
    status, body = answered({"fine": SourceResult(1, {}, []), "tx": SourceResult(9, errors, [(PLAN, None)])})
    assert (status, body["status"]) == (207, "partial_success")
    assert body["sources"]["tx"]["records"] == {
        "total": 9,
        "failed": 2,
        "errors": [
            {"index": 2, "error": {"code": "MISSING_REQUIRED_FIELD", "message": "a"}},
            {"index": 7, "error": {"code": "INVALID_ARGUMENT", "message": "b"}},
        ],
    }
    assert "errors" not in body["sources"]["fine"]["records"]


def test_one_failed_view_is_207_and_comes_after_those_that_did_not() -> None:
    views = [(named("a"), NOT_RUN), (named("b"), None), (named("c"), NOT_STORED), (named("d"), None)]
    status, body = answered({"tx": SourceResult(1, {}, views)})
    found = body["sources"]["tx"]["feature_views"]
    assert (status, body["status"], found["failed"]) == (207, "partial_success", 2)
    assert [each["name"] for each in found["results"]] == ["b", "d", "a", "c"]
    assert found["results"][2] == {
        "name": "a",
        "version": "V1",
        "status": "failed",
        "error": {"code": "UDF_EXECUTION_FAILED", "message": "ValueError: no", "retryable": False},
    }
    assert list(found["results"][3]["error"].items()) == [
        ("code", "WRITE_ERROR"),
        ("message", "disk full"),
        ("store", "online"),
        ("retryable", True),
    ]


def test_a_failure_without_a_name_in_the_reference_is_internal() -> None:
    _, body = answered({"tx": SourceResult(1, {}, [(PLAN, Failure("TILE_TOO_LARGE", "x"))])})
    assert body["sources"]["tx"]["feature_views"]["results"][0]["error"]["code"] == "INTERNAL"


def test_sources_come_in_the_callers_order_and_diagnostics_last_if_asked_for() -> None:
    sources = {name: SourceResult(1, {}, []) for name in ("z", "A", "m")}
    _, body = answered(sources, {"parse_ms": 0.5})
    assert list(body["sources"]) == ["z", "A", "m"]
    assert (list(body)[-1], body["diagnostics"]) == ("diagnostics", {"parse_ms": 0.5})
    assert "diagnostics" not in answered(sources)[1]
