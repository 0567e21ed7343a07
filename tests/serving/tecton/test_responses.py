import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.definitions.plan import FeaturePlan
from schemas.instants import micros
from serving.reads.metering import Meter
from serving.reads.read_plan import LeadingEdge, ReadPlan, ViewAnswer
from serving.reads.views import ViewValues
from serving.tecton.join_keys import JoinKeys
from serving.tecton.requests import NOTHING, GetFeaturesRequest, Wanted, parse_get_features, parse_params
from serving.tecton.responses import SLO_STORE_BYTES, Responses, SloInfo, slo_info
from tests.serving.world import NOON, TEN_MINUTES, read_plan_of, service_text, view_text

GOLDEN = Path(__file__).parents[1] / "golden"


def aggregates(function: str, column: str, *windows: str, n: int | None = None) -> str:
    return ", ".join(f'Aggregate("{function}", "{column}", timedelta({window}), n={n})' for window in windows)


DAILY = "aggregation_interval=timedelta(days=1), "
SOURCE = """
events = StreamSource(name="sample", timestamp_field="at", schema=[
    Field("user_id", String), Field("ad_id", String), Field("at", Timestamp), Field("is_fraud", Float64),
    Field("amt", Float64), Field("transaction_id", String), Field("distinct_merchant_transaction_count_30d", Int64)])
ad = Entity(name="ad", join_keys=[Field("ad_id", String)])
"""
COUNT = "user_distinct_merchant_transaction_count_30d"
COUNT_SCHEMA = (
    'schema=[Field("user_id", String), Field("at", Timestamp), Field("distinct_merchant_transaction_count_30d", Int64)]'
)
SAMPLE = (
    SOURCE
    + view_text("user_transaction_counts", f"{DAILY}features=[{aggregates('last', 'transaction_id', 'days=1', n=3)}]")
    + view_text(
        "user_transaction_amount_metrics",
        f"{TEN_MINUTES}features=[{aggregates('sum', 'amt', 'days=1', 'hours=1', 'days=3')},"
        f"{aggregates('mean', 'amt', 'days=3', 'days=1', 'hours=1')}]",
    )
    + view_text(COUNT, COUNT_SCHEMA, version="1")
    + view_text(
        "merchant_fraud_rate",
        f"{DAILY}features=[{aggregates('mean', 'is_fraud', 'days=90', 'days=1', 'days=30')}]",
        "ad",
    )
    + service_text(
        "fraud_detection_feature_service",
        "user_transaction_counts_V1",
        f"{COUNT}_1",
        "merchant_fraud_rate_V1",
        "user_transaction_amount_metrics_V1",
    )
)


def answers_of(document: dict[str, Any], plan: ReadPlan) -> list[ViewAnswer]:
    """Returns what must have been read for a documented response."""
    values = iter(document["result"]["features"])
    metadata = iter(document["metadata"]["features"])
    answers = []
    for read in plan.views:
        told = [(next(values), next(metadata)) for _ in read.view.features]
        time = micros(datetime.fromisoformat(told[0][1]["effectiveTime"]))
        raw = [int(value) if item["dataType"]["type"] == "int64" and value else value for value, item in told]
        answers.append(ViewAnswer(ViewValues(raw, time), None))
    return answers


def test_the_documented_sample_is_answered_key_for_key() -> None:
    request = parse_get_features(parse_params((GOLDEN / "get_features_request.json").read_bytes()))
    text = (GOLDEN / "get_features_response.json").read_text()
    document = json.loads(text)
    assert request.service is not None
    plan = read_plan_of(SAMPLE, request.service)
    slo = document["metadata"]["sloInfo"]
    info = SloInfo(
        slo_eligible=slo["sloEligible"],
        slo_server_time_seconds=slo["sloServerTimeSeconds"],
        dynamodb_response_size_bytes=slo["dynamodbResponseSizeBytes"],
        server_time_seconds=slo["serverTimeSeconds"],
        store_max_latency=slo["storeMaxLatency"],
        store_response_size_bytes=slo["storeResponseSizeBytes"],
    )

    body = Responses(plan).encode(request, answers_of(document, plan), info)

    assert JoinKeys(plan.join_keys).decode(request.join_keys) == ["5417", "A123"]
    assert json.dumps(json.loads(body), indent=2) + "\n" == text


def counts() -> tuple[ReadPlan, list[ViewAnswer]]:
    features = (
        'features=[Aggregate("count", "clicks", timedelta(days=1)), Aggregate("sum", "clicks", timedelta(days=1))]'
    )
    plan = read_plan_of(view_text("a", TEN_MINUTES + features) + service_text("s", "a_V1"), "s")
    return plan, [ViewAnswer(ViewValues([None, None], NOON), None)]


def asked(*, zero_counts: bool = False, **wanted: bool) -> GetFeaturesRequest:
    return GetFeaturesRequest("s", {}, Wanted(**wanted) if wanted else NOTHING, LeadingEdge.WALL_CLOCK, zero_counts)


def test_without_metadata_options_there_is_only_the_result() -> None:
    plan, answers = counts()

    assert Responses(plan).encode(asked(), answers, None) == b'{"result":{"features":[null,null]}}'


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("names", {"name": "a.clicks_count_1d_10m"}),
        ("data_types", {"dataType": {"type": "int64"}}),
        ("effective_times", {"effectiveTime": "2023-05-04T16:00:00Z"}),
        ("serving_status", {"status": "MISSING_DATA"}),
    ],
)
def test_each_metadata_option_adds_its_own_key(wanted: str, expected: dict[str, Any]) -> None:
    plan, answers = counts()
    body = json.loads(Responses(plan).encode(asked(**{wanted: True}), answers, None))

    assert body["metadata"]["features"][0] == expected
    assert list(body["metadata"]) == ["features"]


def test_counts_of_nothing_are_zero_on_request_and_sums_are_not() -> None:
    plan, answers = counts()
    body = json.loads(Responses(plan).encode(asked(zero_counts=True, serving_status=True), answers, None))

    assert body["result"]["features"] == ["0", None]
    assert [feature["status"] for feature in body["metadata"]["features"]] == ["MISSING_DATA", "MISSING_DATA"]


def test_a_view_without_a_row_has_no_effective_time() -> None:
    plan, _ = counts()
    nothing = [ViewAnswer(ViewValues([None, None], None), None)]

    body = json.loads(Responses(plan).encode(asked(effective_times=True), nothing, None))

    assert body["metadata"]["features"] == [{}, {}]


def test_slo_info_tells_what_was_measured_and_why_a_request_is_not_eligible() -> None:
    meter = Meter()
    meter.size, meter.longest = SLO_STORE_BYTES, 0.25
    within = slo_info(meter, 0.5)
    meter.size += 1
    beyond = slo_info(meter, 0.5)

    assert (within.slo_eligible, within.store_response_size_bytes, within.store_max_latency) == (True, 2_097_152, 0.25)
    assert within.slo_server_time_seconds == within.server_time_seconds == 0.5
    assert (beyond.slo_eligible, beyond.slo_ineligibility_reasons) == (False, ["DYNAMODB_RESPONSE_SIZE_LIMIT_EXCEEDED"])


def test_names_join_view_and_feature_with_one_dot() -> None:
    plan, _ = counts()

    assert all(name.count(".") == 1 and isinstance(feature, FeaturePlan) for name, feature in plan.features())
