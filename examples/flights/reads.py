"""Reading features back over HTTP, as a model would.

Invariant: a reading keeps all that the answer said, with int64 text as numbers and times as µs since 1970-01-01 UTC.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

import httpx

from examples.flights.data import Flight

PATH: Final = "/api/v1/feature-service/get-features"
SERVICE: Final = "departures"
POSITION: Final = "aircraft_position."
CONTINUOUS: Final = "aircraft_use."
"""Features of a continuous view; their effective time is the instant that the server read as of."""

OPTIONS: Final = dict.fromkeys(
    ("includeNames", "includeDataTypes", "includeEffectiveTimes", "includeServingStatus"), True
)
CONNECTIONS: Final = 4
TIMEOUT_SECONDS: Final = 10.0
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)

Keys = Mapping[str, str]
"""Join keys of a read: carrier, tail_number and origin."""


@dataclass(frozen=True, slots=True)
class Served:
    """One feature in an answer."""

    name: str
    value: Any
    status: str
    effective_time: int | None


@dataclass(frozen=True, slots=True)
class Reading:
    """One answer; ``seconds`` is how long it took, the other times are of the wall clock."""

    keys: Keys
    asked_at: int
    answered_at: int
    seconds: float
    features: Sequence[Served]

    @property
    def leading_edge(self) -> int:
        """Returns the instant that the server read as of."""
        return next(each.effective_time or 0 for each in self.features if each.name.startswith(CONTINUOUS))

    def has(self, flight: Flight) -> bool:
        """Returns whether the flight, or a later one of its aircraft, is in what was served."""
        newest = next(each.effective_time for each in self.features if each.name.startswith(POSITION))
        return newest is not None and newest >= micros(flight.scheduled)


class FeatureReader:
    """One keep-alive connection to the serving API."""

    def __init__(self, url: str, key: str) -> None:
        self._client = httpx.Client(
            base_url=url, headers={"Authorization": f"Tecton-key {key}"}, timeout=TIMEOUT_SECONDS, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def is_served(self, flight: Flight) -> bool:
        """Returns whether the service is known already."""
        params = {"featureServiceName": SERVICE, "joinKeyMap": keys_of(flight)}
        return self._client.post(PATH, json={"params": params}).status_code == httpx.codes.OK

    def read(self, keys: Keys) -> Reading:
        """Returns all features of the service for these keys.

        Raises:
            httpx.HTTPStatusError: the answer is not 200.
        """
        params = {"featureServiceName": SERVICE, "joinKeyMap": keys, "metadataOptions": OPTIONS}
        asked_at, started = _now(), time.perf_counter()
        answer = self._client.post(PATH, json={"params": params})
        seconds, answered_at = time.perf_counter() - started, _now()
        answer.raise_for_status()
        body = answer.json()
        features = map(_served, body["result"]["features"], body["metadata"]["features"])
        return Reading(keys, asked_at, answered_at, seconds, list(features))


def keys_of(flight: Flight) -> Keys:
    """Returns the join keys of a flight that has a tail number."""
    return {"carrier": flight.carrier, "tail_number": flight.tail_number or "", "origin": flight.origin}


def all_keys(flights: Sequence[Flight]) -> list[Keys]:
    """Returns join keys such that every carrier, tail number and origin is in some of them."""
    carriers = sorted({flight.carrier for flight in flights})
    origins = sorted({flight.origin for flight in flights})
    tails = sorted({flight.tail_number for flight in flights if flight.tail_number is not None})
    return [
        {
            "carrier": carriers[index % len(carriers)],
            "tail_number": tails[index % len(tails)],
            "origin": origins[index % len(origins)],
        }
        for index in range(max(len(carriers), len(origins), len(tails)))
    ]


def read_all(url: str, key: str, wanted: Sequence[Keys], on_read: Callable[[], None]) -> list[Reading]:
    """Returns what is served for each of the keys, read over several connections.

    Args:
        url: of the serving API.
        key: API key.
        wanted: the keys.
        on_read: called, in any thread, after each read.
    """

    def read_some(some: Sequence[Keys]) -> list[Reading]:
        with FeatureReader(url, key) as reader:
            readings = []
            for keys in some:
                readings.append(reader.read(keys))
                on_read()
            return readings

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        parts = threads.map(read_some, [wanted[start::CONNECTIONS] for start in range(CONNECTIONS)])
        return [reading for part in parts for reading in part]


def micros(instant: datetime) -> int:
    """Returns an aware instant in µs since 1970-01-01 UTC."""
    return (instant - EPOCH) // MICROSECOND


def _now() -> int:
    return time.time_ns() // 1_000


def _served(value: Any, about: Mapping[str, Any]) -> Served:
    effective_time = about.get("effectiveTime")
    return Served(
        about["name"],
        _decode(value, about["dataType"]),
        about["status"],
        None if effective_time is None else micros(datetime.fromisoformat(effective_time)),
    )


def _decode(value: Any, data_type: Mapping[str, Any]) -> Any:
    """Returns a value in Python; an int64 is text in JSON."""
    if value is None:
        return None
    if data_type["type"] == "array":
        return [_decode(each, data_type["elementType"]) for each in value]
    return int(value) if data_type["type"] == "int64" else value
