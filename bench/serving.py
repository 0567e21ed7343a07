"""Reads per second and their latency: one serving process, one entity with ten features per request, 8 connections.

State: a week of clicks, so that windows are made of many tiles. Then the same while records are ingested all the time,
so that serving has to catch up. The load comes from a process of its own, on the same machine.
"""

import asyncio
import random
import time

from bench import events
from bench.ack import requests as ingest_requests
from bench.figures import AtLeast, AtMost, Extent, Figure, Results, percentile
from bench.harness import REPOSITORIES, BenchmarkError, System, current_plan, metric, running_system, wait_for
from bench.load import closed_loop, connections, cycle, features_request, open_loop, run_loop
from schemas.plan import Plan
from schemas.topics import source_topic
from schemas.windows import DAY

RUNS = {Extent.STANDARD: 3, Extent.FULL: 5}
SECONDS = {Extent.STANDARD: 10.0, Extent.FULL: 30.0}
EVENTS = 100_000
USERS = 1_000
CONNECTIONS = 8
WARM_UP_SECONDS = 2.0
FEATURES = 10

WRITES_PER_SECOND = 200
WRITERS = 64

LOAD_SECONDS = 180.0

REQUESTS_PER_SECOND = AtLeast(2_000)
P99 = AtMost(10)


def run(extent: Extent) -> Results:
    """Runs the benchmark."""
    seconds = SECONDS[extent]
    with running_system(REPOSITORIES / "clicks") as system:
        _fill(system, current_plan(system.settings))
        chance = random.Random(events.SEED)
        users = [events.user_id(chance.randrange(USERS)) for _ in range(10 * USERS)]
        reads = [features_request(system.key, "user_features", {"user_id": user}) for user in users]
        run_loop(_check(system, reads[0]))
        run_loop(closed_loop(system.serving, CONNECTIONS, cycle(reads), WARM_UP_SECONDS))
        quiet = [run_loop(closed_loop(system.serving, CONNECTIONS, cycle(reads), seconds)) for _ in range(RUNS[extent])]
        busy = [run_loop(_while_writing(system, reads, seconds)) for _ in range(RUNS[extent])]
    how = f"while {WRITES_PER_SECOND} records/s are ingested"
    figures = [
        Figure("serving: requests", [len(run) / seconds for run in quiet], "requests/s", REQUESTS_PER_SECOND),
        Figure("serving: p50", [percentile(run, 50) * 1e3 for run in quiet], "ms"),
        Figure("serving: p99", [percentile(run, 99) * 1e3 for run in quiet], "ms", P99),
        Figure(f"serving: requests {how}", [len(run) / seconds for run in busy], "requests/s"),
        Figure(f"serving: p50 {how}", [percentile(run, 50) * 1e3 for run in busy], "ms"),
        Figure(f"serving: p99 {how}", [percentile(run, 99) * 1e3 for run in busy], "ms"),
    ]
    notes = (
        f"{FEATURES} features of one of {USERS:,} users per request, {CONNECTIONS} connections, {seconds:g} s per run; "
        f"state made of {EVENTS:,} events of the last 7 days."
    )
    return Results(figures, notes)


def _fill(system: System, plan: Plan) -> None:
    now = time.time_ns() // 1_000
    step = 7 * DAY // EVENTS
    clicks = list(events.clicks(plan, EVENTS, range(now - EVENTS * step, now, step), USERS))
    events.produce(system.settings.bootstrap, source_topic(plan.workspace, events.SOURCE), clicks)
    wait_for(
        lambda: metric(system.processor, "headrace_rows_total", outcome="written") >= EVENTS,
        "all events are in state",
        LOAD_SECONDS,
        pause=0.5,
    )


async def _check(system: System, read: bytes) -> None:
    """Reads once; what is measured must be features with values."""
    async with connections(system.serving, 1) as (connection,):
        features = (await connection.ask(read)).document()["result"]["features"]
    if len(features) != FEATURES or None in features[-1:]:
        raise BenchmarkError(f"expected {FEATURES} features with values, got {features}")


async def _while_writing(system: System, reads: list[bytes], seconds: float) -> list[float]:
    writes = list(ingest_requests(system, int(WRITES_PER_SECOND * seconds)))
    latencies, _ = await asyncio.gather(
        closed_loop(system.serving, CONNECTIONS, cycle(reads), seconds),
        open_loop(system.ingest, WRITERS, writes, WRITES_PER_SECOND),
    )
    return latencies
