"""Every Prometheus metric of every role, so that names and labels are the same wherever a thing is counted.

Invariant: label values come from definitions and code tables, never from callers, so the number of series is bounded.
What names a source or a view names its workspace too: names are unique within one only.

`docs/reference/metrics.md` is made of this module: a comment that stands by itself is the title of what follows it.
"""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

LATENCY_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.25, 2.5, 5.0, 10.0)
"""Bucket bounds that tell the targets apart: reads 10 ms, acks 20 and 80 ms."""

AGE_SECONDS: Final = (0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3_600.0, 21_600.0, 86_400.0, 604_800.0)
"""Bucket bounds from 10 ms to 7 days."""

# Every server

HTTP_REQUESTS: Final = Counter(
    "headrace_http_requests_total",
    "HTTP requests answered; the workspace is empty where the request was refused before it was known.",
    ["route", "status", "workspace"],
)

# Records and rows

RECORDS: Final = Counter(
    "headrace_records_total",
    "Source records by what became of them. One that is read again after a crash is counted again.",
    ["workspace", "source", "outcome"],
)
RECORDS_WITHOUT_ZONE: Final = Counter(
    "headrace_records_without_zone_total",
    "Accepted records whose event time named no zone, and was taken as UTC.",
    ["workspace", "source"],
)
VIEW_RECORDS: Final = Counter(
    "headrace_view_records_total",
    "Source records of which a feature view has no row: dropped by its function, or failed. One that is "
    "read again after a crash is counted again.",
    ["workspace", "view", "outcome"],
)
ROWS: Final = Counter(
    "headrace_rows_total",
    "Rows of feature views by what became of them in online state: new, replaced, equal, superseded, late, offline "
    "or, where a row was there as it is read again after a crash, unknown; and besides, those that were of the future.",
    ["workspace", "view", "outcome"],
)
ROWS_REREAD: Final = Counter(
    "headrace_rows_reread_total",
    "Rows of online state that were read again because one in the same finest tile was corrected.",
    ["workspace", "view"],
)
DEAD_LETTERS: Final = Counter(
    "headrace_dead_letters_total",
    "Records set aside as dead letters, by their first problem.",
    ["workspace", "source", "code"],
)

# Ingest

ACK_SECONDS: Final = Histogram(
    "headrace_ack_seconds",
    "From accepting an ingest call to its answer; the workspace is empty where none of that name was applied.",
    ["workspace"],
    buckets=LATENCY_SECONDS,
)

# Reads

READ_SECONDS: Final = Histogram(
    "headrace_read_seconds",
    "From receiving a read to its answer; the workspace is empty where it was refused before it was known.",
    ["route", "workspace"],
    buckets=LATENCY_SECONDS,
)
SERVED_VALUE_AGE_SECONDS: Final = Histogram(
    "headrace_served_value_age_seconds",
    "Age of served values by event time.",
    ["workspace", "view"],
    buckets=AGE_SECONDS,
)
OUT_OF_RANGE_VALUES: Final = Counter(
    "headrace_out_of_range_values_total",
    "Sums of integers served as null because they do not fit in 64 bits.",
    ["workspace", "view", "feature"],
)

# Processors

BATCH_SECONDS: Final = Histogram(
    "headrace_batch_seconds",
    "Time a processor spends on one micro-batch.",
    ["workspace", "stage"],
    buckets=LATENCY_SECONDS,
)
CONSUMER_LAG: Final = Gauge(
    "headrace_consumer_lag",
    "Records of a partition that are not processed yet.",
    ["workspace", "topic", "partition"],
)
FAILED_VIEWS: Final = Gauge(
    "headrace_failed_views", "Views whose code does not load in this process, each as 1.", ["workspace", "view"]
)
OFFLINE_LOG_BEGINS: Final = Gauge(
    "headrace_offline_log_begins",
    "First offset of an updates partition that its offline log holds; above 0, records before it are missing.",
    ["workspace", "partition"],
)
CLOCK_STEP_HELD_SECONDS: Final = Gauge(
    "headrace_clock_step_held_seconds",
    "By how much the host's clock is ahead of the one that retention follows; 0 unless a step is held.",
    ["workspace", "partition"],
)
STATE_DROPPED: Final = Counter(
    "headrace_state_dropped_total",
    "Times that a partition's state of another view was dropped, as its id had been given out twice.",
    ["workspace", "view"],
)


def name_of(metric: MetricWrapperBase) -> str:
    """Returns the name of a metric, as ``/metrics`` has it; the samples of a histogram add to it what they count."""
    (family,) = metric.describe()
    # The public text of a counter leaves out the end that its samples have.
    return f"{family.name}_total" if family.type == "counter" else str(family.name)
