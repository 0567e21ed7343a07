"""What feature values must be, in the plainest Python: nothing here is shared with the code that it judges.

Everything is worked out from the whole history at each question: which rows count, which of them lie in the window,
what their aggregate is. Numbers are added as fractions, so that no order of addition can show.

Instants and lengths are whole µs, instants since 1970-01-01 UTC.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

NOTHING = None


@dataclass(frozen=True, slots=True)
class Event:
    """One row that one view made of one source record.

    ``version`` is (append time in ms, source partition, offset, index of the row among the record's rows).
    """

    view: int
    key: tuple[Any, ...]
    time: int
    version: tuple[int, int, int, int]
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Feature:
    """One served feature; ``function`` is None for a column of an attribute view."""

    name: str
    column: str
    function: str | None = None
    window: int = 0
    offset: int = 0
    parameters: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """A view: tiled where ``interval`` is positive, else continuous (or an attribute view, without aggregates).

    ``horizon``: a row that is appended later than this after its event time changes nothing online. ``identity``:
    columns that tell events of one key and time apart, and put them in an order.
    """

    id: int
    features: tuple[Feature, ...]
    interval: int = 0
    horizon: int | None = None
    ttl: int | None = None
    identity: tuple[str, ...] = ()


def in_time(view: View, events: Iterable[Event]) -> list[Event]:
    """Returns the view's events that did not arrive too late for its horizon."""
    own = [event for event in events if event.view == view.id]
    return [e for e in own if view.horizon is None or e.version[0] * 1000 - e.time <= view.horizon]


def watermark(view: View, events: Iterable[Event]) -> int | None:
    """Returns the greatest event time seen that is not later than its own log time; None if there is none."""
    return max((e.time for e in in_time(view, events) if e.time <= e.version[0] * 1000), default=None)


Identity = tuple[tuple[Any, ...], int, tuple[Any, ...]]


def winners(view: View, events: Iterable[Event]) -> dict[Identity, Event]:
    """Returns the one event that counts for each identity: of those in time, the one with the highest version."""
    best: dict[Identity, Event] = {}
    for event in in_time(view, events):
        identity = (event.key, event.time, tuple(event.values[column] for column in view.identity))
        if identity not in best or event.version > best[identity].version:
            best[identity] = event
    return best


def answer(view: View, events: Iterable[Event], key: tuple[Any, ...], now: int) -> tuple[list[Any], int | None]:
    """Returns what a read at ``now`` must give: the features' values and the effective time."""
    won = winners(view, events)
    rows = [(time, won[key, time, which].values) for time, which in sorted(w[1:] for w in won if w[0] == key)]
    if all(feature.function is None for feature in view.features):
        return _newest(view, rows, now)
    values = [_aggregate(view, feature, rows, now) for feature in view.features]
    return values, (now // view.interval) * view.interval if view.interval else now


def _newest(view: View, rows: list[tuple[int, Mapping[str, Any]]], now: int) -> tuple[list[Any], int | None]:
    known = [row for row in rows if row[0] <= now]
    if not known:
        return [NOTHING for _ in view.features], None
    time, values = known[-1]
    if view.ttl is not None and not now < time + view.ttl:
        return [NOTHING for _ in view.features], None
    return [values[feature.column] for feature in view.features], time


def _aggregate(view: View, feature: Feature, rows: list[tuple[int, Mapping[str, Any]]], now: int) -> Any:
    if view.interval:
        end = (now // view.interval) * view.interval - feature.offset
        inside = [values for time, values in rows if end - feature.window <= time < end]
    else:
        end = now - feature.offset
        inside = [values for time, values in rows if end - feature.window < time <= end]
    if not inside:
        return NOTHING
    present = [values[feature.column] for values in inside if values[feature.column] is not None]
    if feature.function == "count":
        return len(present)
    if not present:
        return NOTHING
    return _FUNCTIONS[feature.function or ""](present, dict(feature.parameters))


def add(values: Sequence[Any]) -> Any:
    """Returns the sum: integers exactly, floats correctly rounded, what is not finite as IEEE 754 adds it.

    A sum of integers that 64 bits cannot hold is nothing: no reader of an int64 could take it.
    """
    if all(isinstance(value, int) for value in values):
        return sum(values) if -(2**63) <= sum(values) < 2**63 else NOTHING
    special = _special(values)
    return _rounded(sum(map(Fraction, values), Fraction(0))) if special is None else special


def mean(values: Sequence[Any]) -> float:
    """Returns the exact sum divided by the number of values, rounded once."""
    special = _special(values)
    return _rounded(sum(map(Fraction, values), Fraction(0)) / len(values)) if special is None else special


def least(values: Sequence[Any]) -> Any:
    """Returns the least value; NaN is greater than every number, and -0.0 is less than 0.0."""
    return min(values, key=_order)


def greatest(values: Sequence[Any]) -> Any:
    """Returns the greatest value, in the order of ``least``."""
    return max(values, key=_order)


def _order(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, float):
        return (value,)
    if math.isnan(value):
        return (1, 0.0, 0)
    return (0, value, 0 if math.copysign(1, value) < 0 else 1)


def _special(values: Sequence[Any]) -> float | None:
    if any(math.isnan(value) for value in values):
        return math.nan
    infinite = {value for value in values if math.isinf(value)}
    if len(infinite) > 1:
        return math.nan
    return infinite.pop() if infinite else None


def _rounded(exact: Fraction) -> float:
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


_FUNCTIONS: dict[str, Callable[[list[Any], dict[str, Any]], Any]] = {
    "sum": lambda values, _: add(values),
    "mean": lambda values, _: mean(values),
    "min": lambda values, _: least(values),
    "max": lambda values, _: greatest(values),
    "last": lambda values, given: values[-given["n"] :] if given.get("n") else values[-1],
}


def same(left: Any, right: Any) -> bool:
    """Returns whether two answers are equal bit for bit: types count, so does the sign of zero; any NaN is NaN."""
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, float) and isinstance(right, float):
        return left.hex() == right.hex()
    return type(left) is type(right) and bool(left == right)
