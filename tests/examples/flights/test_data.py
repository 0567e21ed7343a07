from datetime import UTC, datetime, timedelta

import pytest

from examples.flights.data import LAST_FLIGHT_AGE, Flight, load_flights

NOW = datetime(2026, 3, 4, 5, 6, 7, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def year() -> list[Flight]:
    return load_flights(NOW, None)


@pytest.mark.slow
def test_the_year_has_all_flights_and_their_nulls(year: list[Flight]) -> None:
    assert len(year) == 336_776
    assert sum(flight.tail_number is None for flight in year) == 2_512
    assert sum(flight.departure_delay is None for flight in year) == 8_255
    assert sum(flight.arrival_delay is None for flight in year) == 9_430


@pytest.mark.slow
def test_no_two_flights_share_an_event_time_and_they_are_in_order(year: list[Flight]) -> None:
    times = [flight.scheduled for flight in year]
    assert times == sorted(set(times))


@pytest.mark.slow
def test_the_last_flight_is_minutes_old_and_all_moved_by_whole_minutes(year: list[Flight]) -> None:
    assert year[-1].scheduled.replace(microsecond=0) == NOW.replace(second=0, microsecond=0) - LAST_FLIGHT_AGE
    assert {flight.scheduled.second for flight in year} == {0}
    assert max(flight.scheduled.microsecond for flight in year) < 100


@pytest.mark.slow
def test_days_are_counted_back_from_the_last_flight(year: list[Flight]) -> None:
    day = load_flights(NOW, 1)
    assert day == [flight for flight in year if flight.scheduled > year[-1].scheduled - timedelta(days=1)]
