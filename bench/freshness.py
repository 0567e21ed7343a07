"""Whether a read after an ack sees the write: write, wait for the answer, read at once, compare; many times.

Each connection has counters of its own and writes numbers in order, so all that may be read back is known: the newest
number by an attribute view, and count, last and greatest number of the last hour by continuous windows.
"""

import asyncio
import itertools
import time
from datetime import UTC, datetime
from typing import Any

from bench.figures import AtMost, Extent, Figure, Results, Table, percentile
from bench.harness import REPOSITORIES, system_of
from bench.load import Connection, connections, features_request, ingest_request, run_loop
from examples.running import System

TRIALS = {Extent.STANDARD: 20_000, Extent.FULL: 100_000}
CONNECTIONS = 8
COUNTERS = 50  # per connection: keys fall into all partitions
SHOWN = 10  # stale reads in the table

NO_STALE_READS = AtMost(0)


class Trials:
    """The outcome of all trials: what was stale, as (expected, read), and seconds from ack to read."""

    def __init__(self) -> None:
        self.done = 0
        self.stale: list[tuple[list[str], list[Any]]] = []
        self.reads: list[float] = []


def run(extent: Extent) -> Results:
    """Runs the benchmark."""
    with system_of(REPOSITORIES / "counters") as system:
        trials = run_loop(write_then_read(system, TRIALS[extent]))
    figures = [
        Figure(
            f"freshness: stale reads in {trials.done:,} write-then-read trials",
            [len(trials.stale)],
            "reads",
            NO_STALE_READS,
        ),
        Figure("freshness: ack to value read, p50", [percentile(trials.reads, 50) * 1e3], "ms"),
        Figure("freshness: ack to value read, p99", [percentile(trials.reads, 99) * 1e3], "ms"),
    ]
    rows = [[str(expected), str(read)] for expected, read in trials.stale[:SHOWN]]
    tables = [Table("stale reads", ["expected", "read"], rows)] if rows else []
    notes = f"{CONNECTIONS} connections at once, each one trial after the other, over {CONNECTIONS * COUNTERS} keys."
    return Results(figures, notes, tables)


async def write_then_read(system: System, count: int) -> Trials:
    """Returns what came of some trials."""
    trials = Trials()
    numbers = itertools.count()
    async with connections(system.ingest, CONNECTIONS) as writers, connections(system.serving, CONNECTIONS) as readers:
        pairs = zip(writers, readers, strict=True)
        await asyncio.gather(
            *(_work(system, worker, *pair, numbers, count, trials) for worker, pair in enumerate(pairs))
        )
    return trials


async def _work(
    system: System,
    worker: int,
    writer: Connection,
    reader: Connection,
    numbers: "itertools.count[int]",
    count: int,
    trials: Trials,
) -> None:
    for own in itertools.count():
        number = next(numbers)
        if number >= count:
            return
        counter = f"counter-{worker}-{own % COUNTERS}"
        record = {"counter": counter, "timestamp": datetime.now(UTC).isoformat(), "number": number}
        write = ingest_request(system.key, "readings", record)
        read = features_request(system.key, "latest", {"counter": counter})
        (await writer.ask(write)).document()
        acknowledged = time.perf_counter()
        served = (await reader.ask(read)).document()["result"]["features"]
        trials.reads.append(time.perf_counter() - acknowledged)
        trials.done += 1
        expected = [str(number), str(own // COUNTERS + 1), str(number), str(number)]
        if served != expected:
            trials.stale.append((expected, served))
