"""How much memory processor and serving hold once a whole year of flights has gone through them.

336,776 records, four views, two of them by aircraft; then features of every aircraft, carrier and airport are read, so
that serving has all partitions open and its caches filled.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from bench.events import Event, produce
from bench.figures import AtMost, Extent, Figure, Results
from bench.harness import ROOT, BenchmarkError, Memory, current_plan, memory_of, metric, pid_of, system_of
from bench.load import closed_loop, features_request, run_loop
from examples.flights.data import Flight, load_flights
from examples.running import System
from infra.metrics import ROWS
from schemas.avro.schema import parse
from schemas.avro.wire import frame
from schemas.definitions.plan import Plan
from schemas.topics import source_topic

REPOSITORY = ROOT / "examples" / "flights" / "repository"
SOURCE = "flights"
SERVICE = "departures"

POLL_SECONDS = 1.0
STREAM_SECONDS = 600.0
CONNECTIONS = 4
READS = {Extent.STANDARD: 20_000, Extent.FULL: 100_000}

PROCESSOR = AtMost(400)
SERVING = AtMost(250)


class Peak:
    """The greatest resident memory seen of some processes, in MiB."""

    def __init__(self, pids: Sequence[int]) -> None:
        self.seen = dict.fromkeys(pids, 0.0)

    def look(self) -> None:
        """Looks once."""
        for pid in self.seen:
            self.seen[pid] = max(self.seen[pid], memory_of(pid).resident)


def run(extent: Extent) -> Results:
    """Runs the benchmark."""
    with system_of(REPOSITORY) as system:
        processor, serving = pid_of(system, "processor"), pid_of(system, "serving")
        peak = Peak([processor, serving])
        flights = load_flights(datetime.now(UTC), None)
        seconds = _stream(system, flights, peak)
        reads = _reads(system, flights, READS[extent])
        run_loop(closed_loop(system.serving, CONNECTIONS, reads, STREAM_SECONDS))
        peak.look()
        held = memory_of(processor), memory_of(serving)
    figures = [
        *_figures("processor", held[0], peak.seen[processor], PROCESSOR),
        *_figures("serving", held[1], peak.seen[serving], SERVING),
        Figure("memory: flights through four views", [len(flights) / seconds], "flights/s"),
    ]
    return Results(figures, f"{len(flights):,} flights streamed in {seconds:.0f} s, then {len(reads):,} reads.")


def _figures(role: str, held: Memory, peak: float, target: AtMost) -> list[Figure]:
    return [
        Figure(f"memory: {role}, resident", [held.resident], "MiB", target),
        Figure(f"memory: {role}, resident at most", [peak], "MiB"),
        Figure(f"memory: {role}, proportional", [held.proportional], "MiB"),
        Figure(f"memory: {role}, anonymous", [held.anonymous], "MiB"),
    ]


def _stream(system: System, flights: Sequence[Flight], peak: Peak) -> float:
    """Produces all flights and waits until the processor has no more to do; returns how many seconds that took."""
    plan = current_plan(system.settings)
    started = time.perf_counter()
    produce(system.settings.bootstrap, source_topic(plan.workspace, SOURCE), _events(plan, flights))
    deadline = started + STREAM_SECONDS
    with_tail = sum(flight.tail_number is not None for flight in flights)
    expected = 2 * len(flights) + 2 * with_tail
    while metric(system.processor, ROWS) < expected:
        peak.look()
        if time.perf_counter() > deadline:
            raise BenchmarkError(f"the flights were not through after {STREAM_SECONDS:g} s")
        asyncio.run(_read_once(system, flights[-1]))
        time.sleep(POLL_SECONDS)
    return time.perf_counter() - started


def _events(plan: Plan, flights: Sequence[Flight]) -> list[Event]:
    source = plan.sources[SOURCE]
    schema = parse(source.schema)
    return [
        Event(flight.carrier.encode(), frame(source.schema_id, schema, msgspec.structs.asdict(flight)))
        for flight in flights
    ]


def _read(system: System, flight: Flight) -> bytes:
    keys = {"carrier": flight.carrier, "tail_number": flight.tail_number, "origin": flight.origin}
    return features_request(system.key, SERVICE, keys)


async def _read_once(system: System, flight: Flight) -> None:
    """Has serving follow the stream, as it would where models read all the time."""
    await closed_loop(system.serving, 1, [_read(system, flight)], 1.0)


def _reads(system: System, flights: Sequence[Flight], count: int) -> list[bytes]:
    """Returns reads of the newest flights: aircraft, carriers and airports as they come."""
    return [_read(system, flight) for flight in flights[-count:]]
