from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.instants import DAY, MINUTE, SECOND, duration_text, instant, instant_text, length, micros, of_nanoseconds

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.mark.parametrize(
    "moment",
    [
        AT,
        AT.replace(tzinfo=None),
        AT.astimezone(timezone(timedelta(hours=-9, minutes=-30))),
    ],
)
def test_instants_with_and_without_a_zone(moment: datetime) -> None:
    assert instant(micros(moment)) == AT


@pytest.mark.usefixtures("host_far_from_utc")
def test_an_instant_without_a_zone_is_utc_wherever_the_host_is() -> None:
    assert micros(AT.replace(tzinfo=None)) == micros(AT)


def test_instants_before_the_epoch() -> None:
    assert micros(datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)) == -1
    assert instant(-1) == datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    assert micros(datetime.min.replace(tzinfo=UTC)) == -62_135_596_800_000_000


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_datetime_comes_back_to_the_microsecond(moment: datetime) -> None:
    assert instant(micros(moment)) == moment


def test_lengths_and_nanoseconds_round_down() -> None:
    assert length(timedelta(days=1, microseconds=1)) == 86_400_000_001
    assert length(timedelta(microseconds=-1)) == -1
    assert (of_nanoseconds(1_999), of_nanoseconds(-1)) == (1, -1)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (0, "0s"),
        (DAY, "1d"),
        (90 * MINUTE, "1h30m"),
        (DAY + SECOND, "1d1s"),
        (7 * DAY, "7d"),
        (10 * MINUTE, "10m"),
        (500_000, "500000us"),
        (SECOND + 1, "1s1us"),
    ],
)
def test_durations_in_names(duration: int, text: str) -> None:
    assert duration_text(duration) == text


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2023, 5, 4, 15, 50, tzinfo=UTC), "2023-05-04T15:50:00Z"),
        (datetime(2023, 5, 4, 15, 50, 58, 996_000, tzinfo=UTC), "2023-05-04T15:50:58.996Z"),
        (datetime(2023, 5, 4, 15, 50, 58, 996_100, tzinfo=UTC), "2023-05-04T15:50:58.996100Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
        (datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), "1969-12-31T23:59:59.999999Z"),
    ],
)
def test_instants_have_no_three_or_six_fraction_digits(moment: datetime, expected: str) -> None:
    assert instant_text(micros(moment)) == expected
