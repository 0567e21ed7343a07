"""Why a feature has no value: for who asks, in a read of its own (rule TF-24).

Invariant: a reason is of the same moment as the values, and looks at the rows that they are made of; a feature with a
value has none. Nothing here is run for callers who do not ask.
"""

from collections.abc import Sequence
from enum import StrEnum
from itertools import islice
from typing import Final, NamedTuple

from schemas.definitions.plan import FeaturePlan, ViewPlan
from schemas.instants import duration_text, instant_text
from schemas.state.keys import TIME_BYTES, row_prefix, time_of, time_suffix
from schemas.state.reader import Reader
from schemas.windows import continuous_bounds, tiled_bounds
from serving.reads.views import EARLIEST, ViewValues

LATEST: Final = 2**63 - 1


class Reason(StrEnum):
    """Why there is no value; the first that holds."""

    NOT_TAKEN_UP = "NOT_TAKEN_UP"
    """No processor has taken the view up yet: it was applied a moment ago, or none runs."""

    OUT_OF_RANGE = "OUT_OF_RANGE"
    """The sum of the window does not fit in 64 bits."""

    NULL = "NULL"
    """There are events, and the column is null in each that counts."""

    EXPIRED = "EXPIRED"
    """The newest event is older than the view's ttl."""

    PAST_THE_WINDOW = "PAST_THE_WINDOW"
    """There is an event, but it comes after the window's end: windows of tiled views end at the last whole interval,
    and an offset moves them to the past."""

    OUTSIDE_WINDOW = "OUTSIDE_WINDOW"
    """There are events, but all are older than the window."""

    FUTURE = "FUTURE"
    """All events are still to come."""

    NO_EVENTS = "NO_EVENTS"
    """State holds no event of these join keys: there was none, or all are older than what the view keeps."""


class Missing(NamedTuple):
    """Why one feature has no value.

    Attributes:
        reason: the kind.
        message: in words, with the times that matter.
        event_time: of the event that the message is about, µs since the epoch; None if there is none.
    """

    reason: Reason
    message: str
    event_time: int | None = None


Explanation = Sequence[Missing | None]
"""One for each feature of a view, in order; None where there is a value."""


def not_taken_up(view: ViewPlan) -> Explanation:
    """Returns why a view that no processor has taken up has no values."""
    missing = Missing(Reason.NOT_TAKEN_UP, "no processor has taken the view up yet; see that one runs, and try again")
    return [missing] * len(view.features)


def explain(view: ViewPlan, state: Reader, key: bytes, now: int, edge: int | None, values: ViewValues) -> Explanation:
    """Returns why features of one key have no value.

    Args:
        view: that was read.
        state: one partition's state, as it was when the values were read.
        key: encoded join keys.
        now: the wall clock, µs since the epoch.
        edge: the leading edge that they were read at; None if the view has had no event at all.
        values: what was read.
    """
    rows = _Rows(state, row_prefix(view.id, key))
    found: list[Missing | None] = []
    for position, (feature, value) in enumerate(zip(view.features, values.values, strict=True)):
        if value is not None:
            found.append(None)
        elif position in values.out_of_range:
            found.append(Missing(Reason.OUT_OF_RANGE, "the sum of the window does not fit in 64 bits"))
        else:
            found.append(_why(view, feature, rows, now, now if edge is None else edge))
    return found


class _Rows:
    """The rows of one key, by event time."""

    def __init__(self, state: Reader, prefix: bytes) -> None:
        self._state = state
        self._prefix = prefix

    def newest(self, start: int, end: int) -> int | None:
        """Returns the event time of the newest row in ``[start, end)``."""
        found = self._state.last_before(self._prefix + time_suffix(start), self._prefix + time_suffix(end))
        return None if found is None else self._time(found[0])

    def first(self, start: int) -> int | None:
        """Returns the event time of the first row from ``start`` on."""
        rows = self._state.scan(self._prefix + time_suffix(start), self._prefix + time_suffix(LATEST))
        return next((self._time(key) for key, _ in islice(rows, 1)), None)

    def _time(self, key: bytes) -> int:
        return time_of(key[: len(self._prefix) + TIME_BYTES])  # what follows says which event of the instant it is


def _why(view: ViewPlan, feature: FeaturePlan, rows: _Rows, now: int, edge: int) -> Missing:
    start, end = _bounds(view, feature, edge)
    inside = rows.newest(start, end)
    if inside is not None:
        if view.ttl is not None and edge >= inside + view.ttl:
            message = f"the newest event, of {instant_text(inside)}, is older than the ttl of {duration_text(view.ttl)}"
            return Missing(Reason.EXPIRED, message, inside)
        where = "in each event of the window, the newest" if view.is_aggregate else "in the newest event,"
        return Missing(Reason.NULL, f"{feature.column} is null {where} of {instant_text(inside)}", inside)
    # Of a window of rows its last instant is part, of one of tiles its end is not.
    until = instant_text(end if view.interval else end - 1)
    later = rows.first(end)
    if later is not None and later <= now:
        message = f"the window ends at {until}, before the next event, of {instant_text(later)}"
        if view.interval:
            message += f"; it moves on every {duration_text(view.interval)}"
        return Missing(Reason.PAST_THE_WINDOW, message, later)
    earlier = rows.newest(EARLIEST, start)
    if earlier is not None:
        window = f"the window, the {duration_text(feature.window)} up to {until}"
        message = f"the newest event, of {instant_text(earlier)}, is older than {window}"
        return Missing(Reason.OUTSIDE_WINDOW, message, earlier)
    if later is not None:
        message = f"the first event, of {instant_text(later)}, is still to come"
        return Missing(Reason.FUTURE, message, later)
    kept = (
        "" if view.horizon is None else f" among those of the last {duration_text(view.horizon)}, which the view keeps"
    )
    return Missing(Reason.NO_EVENTS, f"there is no event of these join keys{kept}")


def _bounds(view: ViewPlan, feature: FeaturePlan, edge: int) -> tuple[int, int]:
    if not view.is_aggregate:
        return EARLIEST, edge + 1
    if view.interval:
        return tiled_bounds(edge, feature.window, feature.offset, view.interval)
    return continuous_bounds(edge, feature.window, feature.offset)
