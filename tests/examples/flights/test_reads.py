from datetime import UTC, datetime

import pytest

from examples.flights.data import Flight
from examples.flights.reads import Reading, Served, all_keys, micros

SCHEDULED = datetime(2026, 3, 4, 5, 6, 0, 7, tzinfo=UTC)
FLIGHT = Flight(SCHEDULED, "UA", 1, "N1", "EWR", "ORD", None, None, 719)
FLIGHTS = [
    FLIGHT,
    Flight(SCHEDULED, "AA", 2, "N2", "JFK", "MIA", 1.0, 2.0, 1089),
    Flight(SCHEDULED, "AA", 3, "N3", "LGA", "MIA", 1.0, 2.0, 1089),
    Flight(SCHEDULED, "B6", 4, None, "LGA", "FLL", 1.0, 2.0, 1076),
]


def reading(newest: int | None) -> Reading:
    features = [
        Served("aircraft_position.position", "ORD", "PRESENT", newest),
        Served("aircraft_use.x", 1, "PRESENT", 9),
    ]
    return Reading({}, 8, 10, 0.001, features)


def test_every_carrier_aircraft_and_airport_is_read() -> None:
    keys = all_keys(FLIGHTS)
    assert {each["carrier"] for each in keys} == {"AA", "B6", "UA"}
    assert {each["tail_number"] for each in keys} == {"N1", "N2", "N3"}
    assert {each["origin"] for each in keys} == {"EWR", "JFK", "LGA"}
    assert len(keys) == 3


@pytest.mark.parametrize(("newest", "shows"), [(None, False), (-1, False), (0, True), (1, True)])
def test_a_flight_shows_when_its_aircraft_has_it_or_a_later_one(newest: int | None, shows: bool) -> None:
    time = None if newest is None else micros(SCHEDULED) + newest
    assert reading(time).has(FLIGHT) is shows


def test_the_leading_edge_is_the_time_of_the_continuous_view() -> None:
    assert reading(None).leading_edge == reading(5).leading_edge == 9
