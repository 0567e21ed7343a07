import pytest
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from infra import metrics


def test_metrics_have_the_documented_names_and_labels() -> None:
    assert metrics.RECORDS is not None
    families = {family.name: family for family in REGISTRY.collect() if family.name.startswith("headrace_")}
    assert families.keys() >= {
        "headrace_records",
        "headrace_rows",
        "headrace_dead_letters",
        "headrace_http_requests",
        "headrace_ack_seconds",
        "headrace_read_seconds",
        "headrace_batch_seconds",
        "headrace_served_value_age_seconds",
        "headrace_consumer_lag",
        "headrace_offline_log_begins",
    }


def test_a_metric_has_the_name_that_is_exposed() -> None:
    metrics.BATCH_SECONDS.labels("w", "transform").observe(1)
    metrics.RECORDS.labels("w", "s", "o").inc()
    exposed = generate_latest().decode()
    assert f'\n{metrics.name_of(metrics.RECORDS)}{{outcome="o",source="s",workspace="w"}} ' in exposed
    assert f"\n{metrics.name_of(metrics.BATCH_SECONDS)}_count{{" in exposed


@pytest.mark.parametrize(
    "metric",
    [
        metrics.RECORDS,
        metrics.RECORDS_WITHOUT_ZONE,
        metrics.ROWS,
        metrics.DEAD_LETTERS,
        metrics.SERVED_VALUE_AGE_SECONDS,
        metrics.BATCH_SECONDS,
        metrics.CONSUMER_LAG,
    ],
)
def test_what_two_workspaces_do_is_two_series(metric: MetricWrapperBase) -> None:
    assert metric._labelnames[0] == "workspace"  # noqa: SLF001 - its public text lists labels only once they are used
