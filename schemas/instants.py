"""Instants and lengths of time: whole µs everywhere inside, and the one place where other units become µs.

Invariant: an instant is an ``int``, µs since 1970-01-01 UTC; a length is an ``int``, µs. Kafka's timestamps are ms, the
host's clock is ns, users' functions and Avro have datetimes; each is converted once, where it comes in or goes out.

All conversions round down, to the past: an instant that is cut off is never one that has not come yet.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

MILLISECOND: Final = 1_000
SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

_NANOSECONDS: Final = 1_000
"""In a µs."""

_DURATION_UNITS: Final = (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("us", 1))

_PRECISIONS: Final = (("seconds", SECOND), ("milliseconds", MILLISECOND), ("microseconds", 1))

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def micros(instant: datetime) -> int:
    """Returns µs since the epoch; an instant without a zone is taken as UTC."""
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    # Whole numbers all the way: ``timestamp()`` is a float, whose steps are wider than a µs from the year 2242 on.
    return (instant - _EPOCH) // _MICROSECOND


def instant(value: int) -> datetime:
    """Returns the aware datetime, in UTC, of µs since the epoch."""
    return _EPOCH + timedelta(microseconds=value)


def instant_text(value: int) -> str:
    """Returns µs since the epoch as ISO 8601 in UTC, with as many of 0, 3 or 6 fraction digits as it takes.

    Raises:
        OverflowError: no calendar has that year.
    """
    precision = next(name for name, width in _PRECISIONS if value % width == 0)
    return instant(value).replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def length(duration: timedelta) -> int:
    """Returns a length of time in µs."""
    return duration // _MICROSECOND


def of_nanoseconds(value: int) -> int:
    """Returns µs of ns, such as ``time.time_ns`` counts."""
    return value // _NANOSECONDS


def duration_text(duration: int) -> str:
    """Returns a duration in µs as feature names write it: 24 h is ``1d``, 90 min ``1h30m``, nothing ``0s``."""
    text = ""
    for unit, width in _DURATION_UNITS:
        count, duration = divmod(duration, width)
        if count:
            text += f"{count}{unit}"
    return text or "0s"
