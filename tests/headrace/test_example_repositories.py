from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from headrace.example_repositories import EXAMPLE_REPOSITORIES, ExampleRepository
from tests.support.in_process import InProcess
from tests.support.plans import plan_of

HOUR = datetime(2026, 5, 1, 12, tzinfo=UTC)

EXAMPLES = pytest.mark.parametrize("example", EXAMPLE_REPOSITORIES.values(), ids=lambda example: example.name)

VALUES: dict[str, dict[str, Any]] = {
    "transactions": {
        "user_activity.payments": "2",
        "user_activity.spent": 60.0,
        "user_amounts.amount_mean_1h_10m": 42.5 / 3,
        "user_amounts.merchants": ["books", "coffee"],
    },
    "profiles": {"last_known.country": "DE", "profile.country": None, "profile.plan": "pro"},
    "logins": {
        "failed_logins.addresses": ["198.51.100.7", "198.51.100.8"],
        "failed_logins.failures": "2",
        "failed_logins.failures_before": "1",
    },
    "articles": {
        "article_views.seconds_mean_7d_1h": 65.0,
        "article_views.views_1d": "2",
        "article_views.views_7d": "3",
        "article_views.views_7d_before": "1",
    },
    "orders": {"customer_orders.largest": 21.0, "customer_orders.spent": 21.0, "product_sales.sold": "3"},
}


def ingested(example: ExampleRepository, now: datetime) -> InProcess:
    plan = plan_of({"features.py": example.definitions}, partitions=1, source_partitions=1, schema_id=1)
    system = InProcess(plan, now)
    assert system.ingest(example.source, example.records(now)) == []
    return system


@EXAMPLES
@pytest.mark.parametrize("minutes", [0.0, 9.5])
@pytest.mark.parametrize("minute", range(0, 50, 7))
def test_whenever_the_events_are_sent_a_read_soon_after_has_the_same_values(
    example: ExampleRepository, minute: int, minutes: float
) -> None:
    now = HOUR + timedelta(minutes=minute)
    served = ingested(example, now).read(example.service, example.join_keys, now + timedelta(minutes=minutes))
    assert {name: value for name, (value, _) in served.items()} == VALUES[example.name]


def test_a_profile_past_its_ttl_is_served_no_longer() -> None:
    served = ingested(EXAMPLE_REPOSITORIES["profiles"], HOUR).read("members", {"member_id": "m3"}, HOUR)
    assert set(served.values()) == {(None, "MISSING_DATA")}


def test_a_page_view_counts_once_its_hour_is_over() -> None:
    served = ingested(EXAMPLE_REPOSITORIES["articles"], HOUR).read(
        "popularity", {"article_id": "bread"}, HOUR + timedelta(hours=1)
    )
    assert served["article_views.views_1d"] == ("3", "PRESENT")


def test_all_of_them_are_folders_of_one_repository() -> None:
    plan = plan_of({f"{each.name}/features.py": each.definitions for each in EXAMPLE_REPOSITORIES.values()})
    assert set(plan.services) == {each.service for each in EXAMPLE_REPOSITORIES.values()}
    assert set(plan.sources) == {each.source for each in EXAMPLE_REPOSITORIES.values()}


def test_there_is_one_of_each_kind_of_view() -> None:
    views = [view for each in EXAMPLE_REPOSITORIES.values() for view in plan_of(each.definitions).views.values()]
    assert {(view.is_aggregate, view.interval > 0) for view in views} == {(False, False), (True, False), (True, True)}


@EXAMPLES
def test_its_file_has_one_event_a_line(example: ExampleRepository) -> None:
    lines = example.lines(HOUR).splitlines()
    records = [msgspec.json.decode(line) for line in lines]
    assert [datetime.fromisoformat(record["timestamp"]) for record in records] == [
        HOUR - timedelta(minutes=minutes) for minutes, _ in example.events
    ]
