"""Counts and refusals of single results; whole answers: ``test_api.py``."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from ingest_api.ingestion.dialect import IngestCall, IngestResult, SourceResult
from ingest_api.ingestion.pending import Failure
from ingest_api.tecton.responses import ingest_response
from schemas.definitions.plan import ViewPlan
from schemas.errors import FUNCTION_FAILED, UNAVAILABLE, WRITE_ERROR
from schemas.messages.updates import FUTURE, ROW_OUTCOMES, WOULD_WRITE
from tests.support.plans import plan_of

TEXT = """
from headrace import *

s = StreamSource(name="s", timestamp_field="at", log_offline=False, schema=[
    Field("user", String), Field("at", Timestamp), Field("value", Int64)])
user = Entity(name="user", join_keys=[Field("user", String)])

@stream_feature_view(source=s, entities=[user], version="V1", timestamp_field="at", offline=True)
def a(record):
    return record

@stream_feature_view(source=s, entities=[user], version="V1", timestamp_field="at", offline=True)
def b(record):
    return record
"""
VIEWS = tuple(plan_of(TEXT, workspace="prod").views.values())


def answer(
    became: Mapping[str, Mapping[str, int]] | None = None,
    failed: Mapping[int, Mapping[str, Failure]] | None = None,
    errors: Mapping[int, tuple[str, str]] | None = None,
    views: tuple[ViewPlan, ...] = VIEWS,
) -> tuple[int, Any]:
    source = SourceResult(3, errors or {}, [(view, None) for view in views], None, became or {}, failed or {})
    result = IngestResult(
        workspace="prod", sources={"s": source}, validation_seconds=0, ingestion_seconds=0, total_seconds=0
    )
    call = IngestCall(records={}, dry_run=False, workspace="prod", options=None)
    response = ingest_response("here", call, result, "req_1")
    return response.status_code, json.loads(bytes(response.body))


def counts(content: Any) -> list[tuple[str, str]]:
    views = content["ingestMetrics"]["featureViewIngestMetrics"]
    return [(view["onlineRecordIngestCount"], view["offlineRecordIngestCount"]) for view in views]


@pytest.mark.parametrize("outcome", ROW_OUTCOMES)
def test_each_outcome_of_a_row_is_counted_once_offline_and_online_if_state_has_it(outcome: str) -> None:
    online = "0" if outcome in ("late", "offline") else "2"
    status, content = answer({"a@V1": {outcome: 2}})
    assert (status, counts(content)) == (200, [(online, "2"), ("0", "0")])


def test_future_rows_are_not_counted_twice_and_unknown_ones_are_stored() -> None:
    assert counts(answer({"a@V1": {"new": 2, FUTURE: 2}, "b@V1": {"unknown": 3, "dropped": 1}})[1]) == [
        ("2", "2"),
        ("3", "3"),
    ]


def test_a_dry_run_counts_what_would_be_written() -> None:
    assert counts(answer({"a@V1": {WOULD_WRITE: 3, "late": 1}, "b@V1": {"dropped": 4}})[1]) == [("3", "4"), ("0", "0")]


@pytest.mark.parametrize(
    ("code", "status", "error_type"),
    [(WRITE_ERROR, 500, "InternalError"), (UNAVAILABLE, 504, "DeadlineExceededError")],
)
def test_a_failed_store_counts_more_than_a_failed_function(code: str, status: int, error_type: str) -> None:
    failed = {0: {"a@V1": Failure(FUNCTION_FAILED, "no")}, 2: {"b@V1": Failure(code, "why")}}
    error = {"errorMessage": "s, record 2, feature view b: why", "errorType": error_type}
    assert answer(failed=failed) == (status, {"requestError": error})


def test_a_record_that_kafka_did_not_take_is_named() -> None:
    error = {"errorMessage": "s, record 1: gone", "errorType": "DeadlineExceededError"}
    assert answer(errors={1: (UNAVAILABLE, "gone")}) == (504, {"requestError": error})


def test_each_failed_function_is_told() -> None:
    failed = {
        1: {"b@V1": Failure(FUNCTION_FAILED, "no"), "a@V1": Failure(FUNCTION_FAILED, "none")},
        0: {"a@V1": Failure(FUNCTION_FAILED, "never")},
    }
    status, content = answer(failed=failed)
    assert status == 400
    assert [(each["featureViewName"], each["errorMessage"]) for each in content["recordErrors"]] == [
        ("a", "record 0: never"),
        ("b", "record 1: no"),
        ("a", "record 1: none"),
    ]
