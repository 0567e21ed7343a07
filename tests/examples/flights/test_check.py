"""The demo's second opinion agrees with values worked out by hand, and notices each way of being wrong."""

from dataclasses import replace
from typing import Any

import pytest

from examples.flights.check import differences
from examples.flights.offline import VERSION, ViewRows
from examples.flights.reads import Reading, Served

MINUTE = 60_000_000
TILE_END = 2_000_000 * 10 * MINUTE
NOW = TILE_END + 5 * MINUTE
KEYS = {"carrier": "UA", "tail_number": "N1", "origin": "EWR"}

# Scheduled, destination, departure delay, arrival delay, distance. The second is first in a tile of 10 minutes.
EARLY, LATE = NOW - 90 * MINUTE, TILE_END - 10 * MINUTE
FLIGHTS = ((EARLY, "ORD", 10.0, None, 100), (LATE, "LAX", None, -5.0, 200))

COLUMNS = {
    "aircraft_position": ("tail_number", "scheduled", "position", "came_from", "carrier"),
    "aircraft_use": ("tail_number", "scheduled", "distance", "departure_delay", "destination"),
    "airport_load": ("origin", "scheduled", "distance", "departure_delay", "carrier"),
    "carrier_delays": ("carrier", "scheduled", "distance", "departure_delay", "arrival_delay", "destination"),
}
SERVED: dict[tuple[str, int], dict[str, Any]] = {
    ("aircraft_position", LATE): {"came_from": "EWR", "carrier": "UA", "position": "LAX"},
    ("aircraft_use", NOW): {
        "departure_delay_max_7d_continuous": 10.0,
        "departure_delay_mean_1d_continuous": 10.0,
        "destination_last_3_7d_continuous": ["ORD", "LAX"],
        "distance_count_1d_continuous": 2,
        "distance_sum_7d_continuous": 300,
    },
    ("airport_load", NOW): {
        "carrier_last_1h_continuous": "UA",
        "departure_delay_mean_1h_continuous": None,
        "departure_delay_min_1d_continuous": 10.0,
        "distance_count_10m_continuous": None,
        "distance_count_1h_continuous": 1,
        "distance_max_1d_continuous": 200,
        "distance_mean_7d_continuous": 150.0,
    },
    ("carrier_delays", TILE_END): {
        "arrival_delay_max_1d_10m": -5.0,
        "arrival_delay_mean_7d_10m": -5.0,
        "arrival_delay_min_1d_10m": -5.0,
        "departure_delay_mean_10m_10m": None,
        "departure_delay_mean_1d_10m": 10.0,
        "destination_last_5_1d_10m": ["ORD", "LAX"],
        "distance_count_1d_10m": 2,
        "distance_count_1h_10m": 1,
        "distance_sum_7d_10m": 300,
    },
}


def row(view: str, flight: tuple[Any, ...], version: tuple[int, ...] = (1, 0, 0, 0)) -> tuple[Any, ...]:
    scheduled, destination, departure_delay, arrival_delay, distance = flight
    fields = KEYS | {
        "scheduled": scheduled,
        "destination": destination,
        "position": destination,
        "came_from": "EWR",
        "departure_delay": departure_delay,
        "arrival_delay": arrival_delay,
        "distance": distance,
    }
    return (*(fields[column] for column in COLUMNS[view]), *version)


@pytest.fixture
def views() -> dict[str, ViewRows]:
    return {
        view: ViewRows((*columns, *VERSION), [row(view, flight) for flight in FLIGHTS])
        for view, columns in COLUMNS.items()
    }


def reading(**wrong: Any) -> Reading:
    """What is served, with the values of some features (``view__feature``) made wrong."""
    changed = {name.replace("__", ".", 1): value for name, value in wrong.items()}
    features = [
        Served(name, value, "MISSING_DATA" if value is None else "PRESENT", time)
        for (view, time), values in SERVED.items()
        for feature, right in values.items()
        for name in [f"{view}.{feature}"]
        for value in [changed.get(name, right)]
    ]
    return Reading(KEYS, NOW - 1, NOW + 1, 0.001, features)


def test_what_was_worked_out_by_hand_is_equal(views: dict[str, ViewRows]) -> None:
    assert differences([reading()], views) == []


def test_a_row_that_only_one_side_has_is_found_in_each_view(views: dict[str, ViewRows]) -> None:
    for rows in views.values():
        rows.rows.pop()
    found = differences([reading()], views)
    assert {text.split(".")[0] for text in found} == set(COLUMNS)
    assert any(text.startswith("carrier_delays.distance_sum_7d_10m of UA") and "300" in text for text in found)


def test_of_rows_with_one_event_time_the_greatest_version_counts(views: dict[str, ViewRows]) -> None:
    for view, rows in views.items():
        resent = (EARLY, "XXX", 99.0, 99.0, 99)
        rows.rows.append(row(view, resent, version=(0, 9, 9, 9)))
        rows.rows.insert(0, row(view, resent, version=(1, 0, 0, -1)))
        rows.rows.append(row(view, FLIGHTS[1]))
    assert differences([reading()], views) == []


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        ("carrier_delays__distance_count_1d_10m", 3),
        ("carrier_delays__distance_count_1d_10m", 2.0),
        ("airport_load__distance_count_10m_continuous", 0),
        ("airport_load__distance_mean_7d_continuous", 150.00000000000003),
        ("aircraft_use__destination_last_3_7d_continuous", ["LAX", "ORD"]),
        ("aircraft_position__position", "ORD"),
    ],
)
def test_a_wrong_value_is_named(views: dict[str, ViewRows], feature: str, value: Any) -> None:
    (found,) = differences([reading(**{feature: value})], views)
    assert found.startswith(f"{feature.replace('__', '.')} of ")


def test_a_wrong_time_or_status_or_a_missing_feature_is_a_difference(views: dict[str, ViewRows]) -> None:
    right = reading()
    for wrong in (
        [replace(right.features[0], effective_time=EARLY), *right.features[1:]],
        [replace(right.features[0], status="MISSING_DATA"), *right.features[1:]],
        right.features[1:],
    ):
        assert len(differences([replace(right, features=wrong)], views)) == 1


def test_reading_as_of_another_time_than_when_it_was_asked_is_a_difference(views: dict[str, ViewRows]) -> None:
    (found,) = differences([replace(reading(), asked_at=NOW + 1)], views)
    assert "read as of" in found
