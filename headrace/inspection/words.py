"""Counts, durations, instants, types and records as people read them.

Invariant: nothing is rounded: what is shown can be written into a definition again.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schemas.instants import DAY, HOUR, MILLISECOND, MINUTE, SECOND, instant
from schemas.types import DataType, fold

UNITS: Final = ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (SECOND, "second"))


def counted(count: int, noun: str) -> str:
    """Returns a count with its noun: ``1 row``, ``2 rows``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def duration_words(micros: int) -> str:
    """Returns a length of time in days, hours, minutes and seconds, such as ``8 days 10 minutes``."""
    parts = []
    rest = abs(micros)
    for unit, name in UNITS:
        count, rest = divmod(rest, unit)
        if count:
            parts.append(counted(count, name))
    if rest:
        parts.append(f"{rest:,} µs")
    return ("-" if micros < 0 else "") + (" ".join(parts) or "0 seconds")


def time_text(micros: int) -> str:
    """Returns an instant, µs since the epoch, as ISO 8601 in UTC; one that no calendar has stays a number."""
    try:
        text: str = msgspec.to_builtins(instant(micros))
    except OverflowError:
        return f"{micros} µs"
    return text


def append_time_text(milliseconds: int) -> str:
    """Returns when Kafka took a record, ms since the epoch, as ISO 8601 in UTC; empty where it is not known."""
    return time_text(milliseconds * MILLISECOND) if milliseconds > 0 else ""


def type_text(dtype: DataType) -> str:
    """Returns a type by the names that APIs use, such as ``array(string)``."""
    return fold(
        dtype,
        scalar=str,
        array=lambda element: f"array({element})",
        mapping=lambda value: f"map({value})",
        struct=lambda members: f"struct({', '.join(f'{field.name} {text}' for field, text in members)})",
    )


def json_text(record: Mapping[str, Any]) -> str:
    """Returns a decoded record as JSON: instants in ISO 8601, numbers that JSON does not have as null."""
    return msgspec.json.encode(record).decode()
