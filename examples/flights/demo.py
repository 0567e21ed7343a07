"""``make demo``: a whole Headrace, real flights, and a second opinion on every value it serves.

1. Start everything with ``headrace up`` and apply the feature repository.
2. Send flights, half through the ingest API, half from a stock Kafka producer; read features while they flow.
3. Wait until every flight is in the offline log and in online state.
4. Read all features of every carrier, aircraft and airport.
5. Show what was measured, and compare every served value with DuckDB's over the offline log.

Ends with ``demo: ok`` and exit status 0, or with what differed and exit status 1.
"""

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

import click
import httpx
from rich.console import Console

from examples.flights import report
from examples.flights.check import differences
from examples.flights.data import Flight, load_flights
from examples.flights.freshness import FreshnessProbe
from examples.flights.load import Sent, is_taken, send
from examples.flights.offline import OfflineRows
from examples.flights.reads import FeatureReader, Reading, all_keys, read_all
from examples.flights.system import WORKSPACE, DemoError, apply_repository, demo_system, wait_until
from examples.running import System, UpError
from headrace.current_plan import current_plan
from headrace.lags import lags
from infra.installation import installation_of
from schemas.definitions.plan import Plan
from schemas.errors import HeadraceError

TAKE_UP_SECONDS: Final = 30.0
SETTLE_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Stream:
    """What was sent and read in step 2, and how long it took until all was sent, and until all could be read."""

    sent: Sent
    acked: FreshnessProbe
    produced: FreshnessProbe
    sent_seconds: float
    done_seconds: float


@click.command()
@click.option("--all", "whole_year", is_flag=True, help="Send the whole year.")
@click.option("--days", default=14, show_default=True, type=click.IntRange(1, 365), help="Days of flights to send.")
@click.option("--keep", is_flag=True, help="Keep the data folder, and say where it is.")
def main(*, whole_year: bool, days: int, keep: bool) -> None:
    """Stream real flights through Headrace and check every served value."""
    console = report.make_console()
    try:
        with demo_system(keep=keep) as system:
            if keep:
                console.print(f"data folder: {system.data}")
            problems = run(console, system, load_flights(datetime.now(UTC), None if whole_year else days))
    except (DemoError, UpError, HeadraceError, httpx.HTTPError) as error:
        problems = [f"{type(error).__name__}: {error}"]
    report.show_end(console, problems)
    sys.exit(1 if problems else 0)


def run(console: Console, system: System, flights: Sequence[Flight]) -> list[str]:
    """Does all but starting and stopping; returns what is wrong, nothing if all is well."""
    console.print(f"{len(flights):,} flights, {flights[0].scheduled:%Y-%m-%d %H:%M} UTC until now")
    console.print(apply_repository(system), markup=False)
    plan = current_plan(system.kafka, WORKSPACE)
    if plan is None:
        return [f"workspace {WORKSPACE} has no definitions after `headrace apply`"]
    with FeatureReader(system.serving, system.key) as reader:
        wait_until(
            lambda: is_taken(system, flights[0]) and reader.is_served(flights[0]),
            "the servers take the definitions up",
            TAKE_UP_SECONDS,
        )
    rows = OfflineRows(system.data, plan)
    stream = send_and_read(console, system, flights, plan, rows)
    readings = read_every_key(console, system, flights)
    started = time.perf_counter()
    found = differences(readings, rows.views)
    values = sum(len(reading.features) for reading in readings)
    checked = f"{values:,} values in {len(readings):,} feature vectors, {time.perf_counter() - started:.1f} s"
    _show(console, stream, readings, f"{checked}: {len(found):,} differ" if found else f"{checked}: all equal")
    return [*stream.sent.problems(len(flights)), *stream.acked.problems, *stream.produced.problems, *found]


def send_and_read(console: Console, system: System, flights: Sequence[Flight], plan: Plan, rows: OfflineRows) -> Stream:
    """Sends all flights and reads some back at once; returns when all are in the offline log and in online state."""
    with ExitStack() as stack:
        progress = stack.enter_context(report.make_progress(console))
        sending = progress.add_task("flights sent", total=len(flights))
        on_read = partial(progress.advance, progress.add_task("reads while they flow", total=None))
        acked = stack.enter_context(FreshnessProbe(FeatureReader(system.serving, system.key), on_read))
        produced = stack.enter_context(FreshnessProbe(FeatureReader(system.serving, system.key), on_read))

        def on_ack(batch: Sequence[Flight]) -> None:
            acked.offer(batch[-1])
            progress.advance(sending, len(batch))

        def on_produce(flight: Flight) -> None:
            produced.offer(flight)
            progress.advance(sending)

        installation = installation_of(system.settings)
        sent = send(flights, system, on_ack, on_produce)
        sent_seconds = time.perf_counter() - sent.started
        wait_until(lambda: rows.read_on() >= sent.taken, "the offline log has every flight", SETTLE_SECONDS)
        wait_until(
            lambda: not any(each.lag for each in lags(system.kafka, plan, installation)),
            "processors report no lag",
            SETTLE_SECONDS,
        )
        return Stream(sent, acked, produced, sent_seconds, time.perf_counter() - sent.started)


def read_every_key(console: Console, system: System, flights: Sequence[Flight]) -> list[Reading]:
    """Reads all features of every carrier, aircraft and airport."""
    keys = all_keys(flights)
    with report.make_progress(console) as progress:
        task = progress.add_task("reads of every key", total=len(keys))
        return read_all(system.serving, system.key, keys, partial(progress.advance, task))


def _show(console: Console, stream: Stream, readings: Sequence[Reading], checked: str) -> None:
    sent = stream.sent
    facts = [
        ("flights in", f"{sent.taken:,}"),
        ("outcomes", ", ".join(f"{name}: {count:,}" for name, count in sorted(sent.outcomes.items()))),
        ("flights/s", f"{sent.taken / stream.sent_seconds:,.0f} sent, {sent.taken / stream.done_seconds:,.0f} to done"),
        ("compared with DuckDB", checked),
    ]
    times = [
        ("ack of a request of 10 flights", sent.ack_seconds),
        ("read while flights flow", stream.acked.reads + stream.produced.reads),
        ("read afterwards", [reading.seconds for reading in readings]),
        ("from ack to readable", stream.acked.freshness),
        ("from Kafka producer to readable", stream.produced.freshness),
    ]
    console.print(report.facts_table(facts), report.times_table(times), report.vectors_table(readings), sep="\n")


if __name__ == "__main__":
    main()
