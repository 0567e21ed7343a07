import tracemalloc
from typing import Any

import msgspec
import pytest

from schemas.errors import RequestError
from schemas.limits import MAX_DECODED_BYTES
from serving.reads.read_plan import LeadingEdge
from serving.tecton.requests import (
    NOTHING,
    SNAKE,
    GetFeaturesRequest,
    Wanted,
    parse_get_features,
    parse_params,
)

LEAST = {"featureServiceName": "s"}
ALL_METADATA = {
    "includeNames": True,
    "includeDataTypes": True,
    "includeEffectiveTimes": True,
    "includeServingStatus": True,
    "includeSloInfo": True,
}


PADDINGS = (b"", b" " * MAX_DECODED_BYTES)
"""Bodies with the second are large, and read in another way; what comes out must be the same."""


def parsed(**params: Any) -> GetFeaturesRequest:
    body = msgspec.json.encode({"params": params})
    outcomes: list[GetFeaturesRequest | str] = []
    for padding in PADDINGS:
        try:
            outcomes.append(parse_get_features(parse_params(padding + body)))
        except RequestError as error:
            outcomes.append(error.message)
    small, large = outcomes
    assert small == large
    if isinstance(small, str):
        raise RequestError(small)
    return small


def test_the_least_request_asks_for_values_at_the_wall_clock() -> None:
    assert parsed(**LEAST) == GetFeaturesRequest("s", {}, NOTHING, LeadingEdge.WALL_CLOCK, zero_counts=False)


@pytest.mark.parametrize("spelling", [str, SNAKE.__getitem__])
def test_both_spellings_are_understood(spelling: Any) -> None:
    def spelled(document: dict[str, Any]) -> dict[str, Any]:
        return {
            spelling(name): spelled(value) if isinstance(value, dict) and name != "joinKeyMap" else value
            for name, value in document.items()
        }

    request = {
        "featureServiceName": "s",
        "workspaceName": "w",
        "joinKeyMap": {"userId": "a"},
        "requestContextMap": {},
        "allowPartialResults": True,
        "metadataOptions": ALL_METADATA,
        "requestOptions": {
            "aggregationLeadingEdge": "AGGREGATION_MODE_LATEST_EVENT_TIME",
            "coerceNullCountsToZero": True,
            "latencyBudgetMs": "500",
            "readFromCache": False,
            "writeToCache": True,
        },
    }
    wanted = Wanted(names=True, data_types=True, effective_times=True, serving_status=True, slo_info=True)

    assert parsed(**spelled(request)) == GetFeaturesRequest(
        "s", {"userId": "a"}, wanted, LeadingEdge.LATEST_EVENT, zero_counts=True
    )


def test_what_stock_clients_send_for_nothing_counts_as_absent() -> None:
    nothing: dict[str, Any] = {"joinKeyMap": {}, "requestContextMap": {}, "metadataOptions": {}, "requestOptions": {}}

    assert parsed(**LEAST, **nothing, allowPartialResults=False, workspaceName=None) == parsed(**LEAST)


def test_unknown_fields_and_options_are_ignored() -> None:
    assert parsed(**LEAST, isCallerBatch=1, requestOptions={"new": 1}, metadataOptions={"new": 1}) == parsed(**LEAST)


@pytest.mark.parametrize("budget", [100, "2000", 1])
def test_a_latency_budget_is_a_number_or_its_text(budget: Any) -> None:
    parsed(**LEAST, requestOptions={"latencyBudgetMs": budget})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"null",
        b"[]",
        b'"params"',
        b"{}",
        b'{"params":null}',
        b'{"params":[]}',
        b'"\\ud800"',
        b"[" * 100_000,
        b"1e999",
        b"{}{}",
    ],
)
def test_a_body_that_is_not_a_request_is_refused(body: bytes) -> None:
    for padding in PADDINGS:
        with pytest.raises(RequestError):
            parse_params(padding + body)


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({}, "featureServiceName"),
        ({"featureServiceName": ""}, "featureServiceName"),
        ({"featureServiceName": 1}, "featureServiceName"),
        ({"featureServiceId": "1", "featureServiceName": "s"}, "exactly one of"),
        (LEAST | {"joinKeyMap": []}, "joinKeyMap"),
        (LEAST | {"requestContextMap": "x"}, "requestContextMap"),
        (LEAST | {"allowPartialResults": "yes"}, "allowPartialResults"),
        (LEAST | {"metadataOptions": True}, "metadataOptions"),
        (LEAST | {"metadataOptions": {"includeNames": "true"}}, "includeNames in metadataOptions"),
        (LEAST | {"requestOptions": []}, "requestOptions"),
        (LEAST | {"requestOptions": {"readFromCache": 1}}, "readFromCache"),
        (LEAST | {"requestOptions": {"latencyBudgetMs": "soon"}}, "latencyBudgetMs"),
        (LEAST | {"requestOptions": {"latencyBudgetMs": 0}}, "latencyBudgetMs"),
        (LEAST | {"requestOptions": {"latencyBudgetMs": True}}, "latencyBudgetMs"),
        (LEAST | {"requestOptions": {"latencyBudgetMs": "9" * 5000}}, "latencyBudgetMs"),
        (LEAST | {"requestOptions": {"aggregationLeadingEdge": "LATEST"}}, "AGGREGATION_MODE_WALL_CLOCK_TIME or"),
        (LEAST | {"requestOptions": {"aggregationLeadingEdge": 1}}, "aggregationLeadingEdge"),
    ],
)
def test_a_wrong_field_is_named(params: dict[str, Any], named: str) -> None:
    with pytest.raises(RequestError) as failure:
        parsed(**params)
    assert named in failure.value.message


@pytest.mark.parametrize("spelling", [str, SNAKE.__getitem__])
def test_a_request_context_may_be_large_and_is_not_looked_at(spelling: Any) -> None:
    context = {"amounts": [[]] * 1_000_000, "note": "x" * 1_000_000}
    assert parsed(**LEAST, **{spelling("requestContextMap"): context}) == parsed(**LEAST)


def test_large_unknown_fields_are_skipped() -> None:
    assert parsed(**LEAST, new=[[]] * 100_000) == parsed(**LEAST)


@pytest.mark.parametrize("name", ["joinKeyMap", "join_key_map", "featureServiceName", "metadataOptions"])
def test_what_is_looked_at_has_a_limit_and_the_largest_field_is_named(name: str) -> None:
    body = msgspec.json.encode({"params": {"workspaceName": "w", name: {"k": "x" * MAX_DECODED_BYTES}}})
    with pytest.raises(RequestError) as failure:
        parse_params(body)
    assert failure.value.message == (
        f"params without requestContextMap have more than 65536 bytes, {name} alone has 65544; send less in it"
    )


def test_nothing_that_a_body_of_the_largest_size_may_hold_is_built() -> None:
    body = b'{"params":{"new":[' + b"[]," * 1_700_000 + b'[]],"featureServiceName":"s"}}'
    tracemalloc.start()
    try:
        parse_params(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000
