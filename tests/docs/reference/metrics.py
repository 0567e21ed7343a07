"""The page of metrics, made of `infra.metrics`."""

from collections.abc import Iterator
from itertools import groupby

from prometheus_client import Histogram
from prometheus_client.metrics import MetricWrapperBase

from infra import metrics
from tests.docs.reference.constants import constants
from tests.docs.reference.markdown import codes, page, table


def metrics_page() -> str:
    """Returns the page."""
    return page("Metrics", "infra/metrics.py", _lines())


def _lines() -> Iterator[str]:
    yield "Every process answers `/metrics` in the format of Prometheus. The values of labels come from definitions and"
    yield "from tables of codes, never from callers, so the number of series is bounded. Ports:"
    ports = [f"[`{name}`](settings.md#{name})" for name in ("ingest_port", "serving_port", "processor_port")]
    yield f"{', '.join(ports)}."
    entries = ((entry.title, entry.value) for entry in constants(metrics) if isinstance(entry.value, MetricWrapperBase))
    for title, family in groupby(entries, key=lambda entry: entry[0]):
        yield from ["", f"## {title}"]
        for _, metric in family:
            yield from ["", *_described(metric)]


def _described(metric: MetricWrapperBase) -> Iterator[str]:
    (family,) = metric.describe()
    labels = metric._labelnames  # noqa: SLF001 - its public text lists labels only once they are used
    yield from [f"### `{metrics.name_of(metric)}`", "", family.documentation, ""]
    heads, row = ["type", "labels"], [family.type, codes(labels) or "none"]
    if isinstance(metric, Histogram):
        bounds = metric._upper_bounds[:-1]  # noqa: SLF001 - they are public only in samples, which there are none of yet
        heads.append("buckets, in seconds")
        row.append(", ".join(f"{bound:,g}" for bound in bounds))
    yield from table(heads, [row])
