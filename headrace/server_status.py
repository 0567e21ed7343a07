"""What a server or a processor says about itself: ``/readyz`` and ``/metrics``.

Invariant: one that is away or not ready is a result, not an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import httpx
import msgspec
from prometheus_client.parser import text_string_to_metric_families

ANSWER_SECONDS: Final = 3.0

REQUESTS: Final = "headrace_http_requests_total"
SECONDS: Final = ("headrace_ack_seconds", "headrace_read_seconds")
"""Histograms of what the server is there for, one for each kind of server."""


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
    """

    name: str
    url: str
    problem: str
    requests: int = 0
    mean_ms: float | None = None
    failed_views: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def server_status(name: str, url: str) -> ServerStatus:
    """Asks a server how it is."""
    try:
        with httpx.Client(base_url=url, timeout=ANSWER_SECONDS, trust_env=False) as client:
            ready = client.get("/readyz")
            metrics = client.get("/metrics").raise_for_status().text
        problem = "" if ready.is_success else _reasons(ready)
    except (httpx.HTTPError, ValueError) as error:
        return ServerStatus(name, url, f"does not answer: {str(error) or type(error).__name__}")
    totals = _totals(metrics)
    calls = sum(totals.get(f"{metric}_count", 0) for metric in SECONDS)
    seconds = sum(totals.get(f"{metric}_sum", 0) for metric in SECONDS)
    mean_ms = seconds / calls * 1000 if calls else None
    return ServerStatus(name, url, problem, int(totals.get(REQUESTS, 0)), mean_ms, _failed_views(ready))


def _failed_views(answer: httpx.Response) -> dict[str, dict[str, str]]:
    try:
        return msgspec.convert(answer.json().get("failed_views", {}), dict[str, dict[str, str]])
    except (ValueError, AttributeError):  # of something else that listens there
        return {}


def _reasons(answer: httpx.Response) -> str:
    try:
        reasons = answer.json()["reasons"]
        return "not ready: " + "; ".join(f"{name}: {text}" for name, text in reasons.items())
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"/readyz answered {answer.status_code}: {answer.text}"


def _totals(metrics: str) -> dict[str, float]:
    """Returns the sum of each sample over its labels."""
    totals: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            totals[sample.name] = totals.get(sample.name, 0) + sample.value
    return totals
