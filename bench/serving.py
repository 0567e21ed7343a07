"""Reads per second and their latency: one serving process, one entity with ten features per request, 8 connections.

State: a week of clicks, so that windows are made of many tiles. Then the same while records are ingested all the time,
so that serving has to catch up. The load comes from a process of its own, on the same machine.
"""

import asyncio
import dataclasses
import random
import sys
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import events
from bench.ack import requests as ingest_requests
from bench.figures import AtLeast, AtMost, Extent, Figure, Results, Table, percentile
from bench.harness import (
    REPOSITORIES,
    BenchmarkError,
    Child,
    answers,
    cpu_seconds,
    current_plan,
    metric,
    pid_of,
    scratch,
    system_of,
    wait_for,
)
from bench.load import closed_loop, connections, cycle, features_request, open_loop, run_loop
from bench.profiling import profile_table, profiled
from examples.running import System
from infra.metrics import ROWS
from infra.process.ports import LOOPBACK, free_port
from infra.settings import as_environment
from schemas.definitions.plan import Plan
from schemas.instants import DAY
from schemas.messages.updates import NEW
from schemas.topics import source_topic

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
READY_SECONDS = 60.0
PROFILED_READS = 5_000

REQUESTS_PER_SECOND = AtLeast(2_000)
P99 = AtMost(10)


@dataclass(frozen=True, slots=True)
class Load:
    """What one run found: seconds that each answer took, and CPU seconds of the serving process."""

    latencies: list[float]
    cpu: float

    def cpu_per_read(self) -> float:
        """Returns µs per read."""
        return self.cpu * 1e6 / len(self.latencies)


def run(extent: Extent) -> Results:
    """Runs the benchmark."""
    seconds = SECONDS[extent]
    with system_of(REPOSITORIES / "clicks") as system, scratch() as folder:
        _fill(system, current_plan(system.settings))
        chance = random.Random(events.SEED)
        users = [events.user_id(chance.randrange(USERS)) for _ in range(10 * USERS)]
        reads = [features_request(system.key, "user_features", {"user_id": user}) for user in users]
        run_loop(_check(system))
        run_loop(closed_loop(system.serving, CONNECTIONS, cycle(reads), WARM_UP_SECONDS))
        pid = pid_of(system, "serving")
        quiet = [_measured(pid, _reading(system, reads, seconds)) for _ in range(RUNS[extent])]
        busy = [_measured(pid, _while_writing(system, reads, seconds)) for _ in range(RUNS[extent])]
        profile = _profile(system, reads, folder)
    how = f"while {WRITES_PER_SECOND} records/s are ingested"
    figures = [
        Figure("serving: requests", [len(r.latencies) / seconds for r in quiet], "requests/s", REQUESTS_PER_SECOND),
        Figure("serving: p50", [percentile(r.latencies, 50) * 1e3 for r in quiet], "ms"),
        Figure("serving: p99", [percentile(r.latencies, 99) * 1e3 for r in quiet], "ms", P99),
        Figure("serving: CPU of the process", [r.cpu_per_read() for r in quiet], "µs/request"),
        Figure(f"serving: requests {how}", [len(r.latencies) / seconds for r in busy], "requests/s"),
        Figure(f"serving: p50 {how}", [percentile(r.latencies, 50) * 1e3 for r in busy], "ms"),
        Figure(f"serving: p99 {how}", [percentile(r.latencies, 99) * 1e3 for r in busy], "ms"),
        Figure(f"serving: CPU of the process {how}", [r.cpu_per_read() for r in busy], "µs/request"),
    ]
    notes = (
        f"{FEATURES} features of one of {USERS:,} users per request, {CONNECTIONS} connections, {seconds:g} s per run; "
        f"state made of {EVENTS:,} events of the last 7 days."
    )
    return Results(figures, notes, [profile])


def _measured(pid: int, load: Coroutine[Any, Any, list[float]]) -> Load:
    before = cpu_seconds(pid)
    latencies = run_loop(load)
    return Load(latencies, cpu_seconds(pid) - before)


def _reading(system: System, reads: list[bytes], seconds: float) -> Coroutine[Any, Any, list[float]]:
    return closed_loop(system.serving, CONNECTIONS, cycle(reads), seconds)


def _profile(system: System, reads: list[bytes], folder: Path) -> Table:
    """Returns where another serving process, of the same state, spends its time."""
    settings = dataclasses.replace(system.settings, serving_port=free_port(), log_level="warning")
    url = f"http://{LOOPBACK}:{settings.serving_port}"
    statistics = folder / "serving.prof"
    command = profiled((sys.executable, "-m", "headrace", "serving"), statistics)
    with Child(command, folder / "serving.log", as_environment(settings)) as child:
        wait_for(lambda: child.check() and answers(f"{url}/readyz"), "the serving process is ready", READY_SECONDS)
        run_loop(closed_loop(url, CONNECTIONS, reads[:PROFILED_READS], LOAD_SECONDS))
    return profile_table(statistics, "serving: the main thread under cProfile", "request", PROFILED_READS)


def _fill(system: System, plan: Plan) -> None:
    now = time.time_ns() // 1_000
    step = 7 * DAY // EVENTS
    clicks = list(events.clicks(plan, EVENTS, range(now - EVENTS * step, now, step), USERS))
    events.produce(system.settings.bootstrap, source_topic(plan.workspace, events.SOURCE), clicks)
    wait_for(
        lambda: metric(system.processor, ROWS, outcome=NEW) >= EVENTS,
        "all events are in state",
        LOAD_SECONDS,
        pause=0.5,
    )


async def _check(system: System) -> None:
    """Reads the most frequent user once: all its features must have values.

    Raises:
        BenchmarkError: one has none.
    """
    read = features_request(system.key, "user_features", {"user_id": events.user_id(0)})
    async with connections(system.serving, 1) as (connection,):
        features = (await connection.ask(read)).document()["result"]["features"]
    if len(features) != FEATURES or None in features:
        raise BenchmarkError(f"expected {FEATURES} features with values, got {features}")


async def _while_writing(system: System, reads: list[bytes], seconds: float) -> list[float]:
    writes = list(ingest_requests(system, int(WRITES_PER_SECOND * seconds)))
    latencies, _ = await asyncio.gather(
        _reading(system, reads, seconds),
        open_loop(system.ingest, WRITERS, writes, WRITES_PER_SECOND),
    )
    return latencies
