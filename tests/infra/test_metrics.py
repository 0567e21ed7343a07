from prometheus_client import REGISTRY

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
    }
