"""How long a producer waits for the answer to one record, through the whole system that `headrace up` runs.

An answer means: in Kafka, in the offline log and in online state (docs/design.md, "The way of a record"). Each run:
2,000 calls of one record, one at a time; then calls of one record at a fixed rate, each timed from the moment it was
due, so that no wait is left out.
"""

import time
from collections.abc import Iterator

from bench import events
from bench.figures import AtMost, Extent, Figure, Results, percentile
from bench.harness import REPOSITORIES, system_of
from bench.load import closed_loop, ingest_request, open_loop, run_loop
from examples.running import System

RUNS = {Extent.STANDARD: 3, Extent.FULL: 5}
WARM_UP_CALLS = 200
CALLS = 2_000
RATE = 200  # calls per second
RATE_SECONDS = {Extent.STANDARD: 20, Extent.FULL: 60}
CONNECTIONS = 64  # at most as many calls at once
LIMIT_SECONDS = 300.0

P50 = AtMost(20)
P99 = AtMost(80)


def run(extent: Extent) -> Results:
    """Runs the benchmark."""
    alone: list[list[float]] = []
    at_rate: list[list[float]] = []
    with system_of(REPOSITORIES / "clicks") as system:
        run_loop(closed_loop(system.ingest, 1, requests(system, WARM_UP_CALLS), LIMIT_SECONDS))
        for _ in range(RUNS[extent]):
            alone.append(run_loop(closed_loop(system.ingest, 1, requests(system, CALLS), LIMIT_SECONDS)))
            calls = list(requests(system, RATE * RATE_SECONDS[extent]))
            at_rate.append(run_loop(open_loop(system.ingest, CONNECTIONS, calls, RATE)))
    figures = [*_figures("one call at a time", alone), *_figures(f"{RATE} calls/s", at_rate)]
    return Results(
        figures, f"{CALLS:,} calls one at a time, then {RATE} calls/s for {RATE_SECONDS[extent]} s, per run."
    )


def requests(system: System, count: int) -> Iterator[bytes]:
    """Yields calls of one click each, of now and 1 µs apart."""
    now = time.time_ns() // 1_000
    for record in events.records(count, range(now, now + count)):
        document = {**record, "timestamp": record["timestamp"].isoformat(), "note": events.NOTE}
        yield ingest_request(system.key, events.SOURCE, document)


def _figures(how: str, runs: list[list[float]]) -> list[Figure]:
    return [
        Figure(f"ack: {how}, p50", [percentile(run, 50) * 1e3 for run in runs], "ms", P50),
        Figure(f"ack: {how}, p99", [percentile(run, 99) * 1e3 for run in runs], "ms", P99),
    ]
