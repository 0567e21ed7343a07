"""When a row is late, and when it is of the future: both by when Kafka took its record, never by now.

Invariant: whoever judges a row, and whenever, comes to the same; `processors.materialize.fold` has these rules inline.
"""

from typing import Final

from schemas.definitions.plan import ViewPlan
from schemas.instants import MILLISECOND, SECOND

CLOCKS_DIFFER: Final = SECOND
"""By how much, in µs, a producer's clock may be ahead of Kafka's before its events are told to be of the future."""


def is_late(view: ViewPlan, event_time: int, append_time: int) -> bool:
    """Tells whether online state leaves a row out.

    Args:
        view: that the row is of.
        event_time: µs since the epoch.
        append_time: ms since the epoch.
    """
    if view.horizon is None or not view.online:
        return False
    return event_time < append_time * MILLISECOND - view.horizon


def is_future(view: ViewPlan, event_time: int, append_time: int) -> bool:
    """Tells whether a row of a view that is kept online counts as one that is still to come; arguments as above."""
    return view.online and event_time > append_time * MILLISECOND + CLOCKS_DIFFER
