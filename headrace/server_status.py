"""What a server or a processor says about itself: ``/readyz`` and ``/metrics``.

Invariant: one that is away or not ready is a result, not an error.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import httpx
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from infra.http.paths import METRICS, READYZ
from infra.metrics import (
    ACK_SECONDS,
    CLOCK_STEP_HELD_SECONDS,
    HTTP_REQUESTS,
    READ_SECONDS,
    RECORDS_WITHOUT_ZONE,
    name_of,
)

ANSWER_SECONDS: Final = 3.0

REQUESTS: Final = name_of(HTTP_REQUESTS)
WITHOUT_ZONE: Final = name_of(RECORDS_WITHOUT_ZONE)
CLOCK_STEP: Final = name_of(CLOCK_STEP_HELD_SECONDS)
SECONDS: Final = (name_of(ACK_SECONDS), name_of(READ_SECONDS))
"""Histograms of what the server is there for, one for each kind of server."""


OUTCOME_LABELS: Final = frozenset({"workspace", "view", "outcome"})
"""Of the counters that say what became of a view's records and rows (`infra.metrics`)."""

Outcomes = Mapping[str, Mapping[str, Mapping[str, int]]]


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One server.

    Attributes:
        name: ingest, serving or processor.
        url: where it is.
        problem: why it is not ready; empty if it is.
        requests: how many it has answered since it started.
        mean_ms: mean time of its calls since it started; None before the first.
        failed_views: why views do not load there, by workspace and view key; of processors.
        outcomes: what became of records and rows since it started, by workspace, view key and outcome; of processors.
        without_zone: records whose event time had no zone since it started, by workspace and source, where there were
            any; of the ingest API.
        clock_ahead_seconds: by how much its host's clock is ahead of what retention believes; 0 unless a step is held.
    """

    name: str
    url: str
    problem: str
    requests: int = 0
    mean_ms: float | None = None
    failed_views: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    clock_ahead_seconds: float = 0.0
    outcomes: Outcomes = field(default_factory=dict)
    without_zone: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def server_status(name: str, url: str) -> ServerStatus:
    """Asks a server how it is."""
    try:
        with httpx.Client(base_url=url, timeout=ANSWER_SECONDS, trust_env=False) as client:
            ready = client.get(READYZ)
            metrics = client.get(METRICS).raise_for_status().text
        problem = "" if ready.is_success else _problem(ready)
    except (httpx.HTTPError, ValueError) as error:
        return ServerStatus(name, url, f"does not answer: {str(error) or type(error).__name__}")
    try:
        totals, greatest = _samples(metrics, sum), _samples(metrics, max)
    except ValueError:  # something else listens there
        return ServerStatus(name, url, "answers, but /metrics is not that of a Headrace server; correct host and port")
    calls = sum(totals.get(f"{metric}_count", 0) for metric in SECONDS)
    seconds = sum(totals.get(f"{metric}_sum", 0) for metric in SECONDS)
    mean_ms = seconds / calls * 1000 if calls else None
    return ServerStatus(
        name,
        url,
        problem,
        int(totals.get(REQUESTS, 0)),
        mean_ms,
        _failed_views(ready),
        greatest.get(CLOCK_STEP, 0.0),
        _outcomes(metrics),
        _without_zone(metrics),
    )


def _outcomes(metrics: str) -> dict[str, dict[str, dict[str, int]]]:
    """Returns what is counted by workspace, view and outcome, under whichever name."""
    found: dict[str, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.labels.keys() == OUTCOME_LABELS and sample.name.endswith("_total"):
                workspace, view, outcome = (sample.labels[name] for name in ("workspace", "view", "outcome"))
                found[workspace][view][outcome] += int(sample.value)
    return {name: {view: dict(counts) for view, counts in views.items()} for name, views in found.items()}


def _without_zone(metrics: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == WITHOUT_ZONE and sample.value:
                found[sample.labels["workspace"]][sample.labels["source"]] = int(sample.value)
    return dict(found)


def _failed_views(answer: httpx.Response) -> dict[str, dict[str, str]]:
    try:
        return msgspec.convert(answer.json().get("failed_views", {}), dict[str, dict[str, str]])
    except (ValueError, AttributeError):  # of something else that listens there
        return {}


def reasons(answer: httpx.Response) -> str | None:
    """Returns why a server that answered ``/readyz`` is not ready; None if it does not say."""
    try:
        return "; ".join(f"{name}: {text}" for name, text in answer.json()["reasons"].items())
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _problem(answer: httpx.Response) -> str:
    told = reasons(answer)
    return f"/readyz answered {answer.status_code}: {answer.text}" if told is None else f"not ready: {told}"


def _samples(metrics: str, of_all: Callable[[Iterable[float]], float]) -> dict[str, float]:
    """Returns one value of each sample: what ``of_all`` makes of those under all its labels."""
    values: dict[str, list[float]] = defaultdict(list)
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            values[sample.name].append(sample.value)
    return {name: of_all(each) for name, each in values.items()}
