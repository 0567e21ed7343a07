"""Which keys of online state nobody can need any more (docs/design.md §3, one horizon).

Each view has a clock of its own in each partition: the lesser of its watermark there and the host's (held) clock. So a
stream that is quiet, or replayed, keeps what windows that end at its latest event need, and no clock that is wrong for
a while makes anything old by itself.

Invariant: no read with a leading edge at or after a view's clock gives another answer once they are deleted. Readers
have none before it: they read at the wall clock, or at the lesser of it and the greatest watermark of all partitions.

- Aggregate views: rows, and tiles as a whole, older than the horizon and a day more. The day keeps clear of events that
  arrive at the last moment.
- Attribute views: rows older than grace and ttl that a newer row has superseded; and whatever is older than ttl and
  grace together, which no read shows.
- Views that are no longer kept: everything.
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Final, Protocol

from processors.materialize.held_clock import MAX_STEP
from schemas.definitions.plan import ViewPlan
from schemas.instants import DAY
from schemas.state.keys import (
    DIGESTS,
    ROWS,
    TILES,
    WATERMARKS,
    WITHOUT_TIME,
    numbered_by,
    resolution_of,
    time_of,
    view_of,
    watermark_key,
    without_identity,
)
from schemas.state.values import decode_number

FEWEST_KEYS: Final = 2_000  # a step: about 0.3 ms to look at
MOST_KEYS: Final = 50_000  # about 8 ms, and 80 to delete them all
MUCH: Final = 8  # one dead key in so many is much: state then has an eighth more keys than are needed
MIN_LIMIT: Final = 2  # a row is judged beside the one after it

# One scan, from the first of these spaces to behind the last; what else lies between is looked at and kept.
_SPACES: Final = (ROWS, TILES, DIGESTS, WATERMARKS)
_FIRST: Final = min(_SPACES)
_END: Final = bytes([max(_SPACES)[0] + 1])
_LEEWAY: Final = MAX_STEP  # by which the host's clock may have been ahead and come back


class SweptState(Protocol):
    """What a sweep asks of state: keys, as values are many times their size, and watermarks."""

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """Returns the values of ``keys``, in their order; None for each that is absent."""
        ...

    def keys(self, start: bytes, end: bytes, limit: int) -> list[bytes]:
        """Returns the first ``limit`` keys from ``start`` (inclusive) to ``end`` (exclusive), ascending."""
        ...


def clocks(views: Iterable[int], state: SweptState, now: int) -> dict[int, int]:
    """Returns the clock of each view that has a watermark in this partition, in µs since the epoch.

    Args:
        views: ids.
        state: the partition's.
        now: the host's clock, µs since the epoch.
    """
    ids = list(views)
    watermarks = zip(ids, state.get_many([watermark_key(view) for view in ids]), strict=True)
    return {view: min(now, decode_number(watermark)) for view, watermark in watermarks if watermark is not None}


def next_limit(limit: int, deleted: int) -> int:
    """Returns how many keys the next step of a sweep is to look at, given the limit of the last one and what it found.

    A sweep that finds much goes on faster, so it keeps up however fast keys grow old; one that finds little slows down,
    as looking costs as much as writing did.
    """
    if deleted * MUCH >= limit:
        return min(2 * limit, MOST_KEYS)
    return max(limit // 2, FEWEST_KEYS)


def sweep(
    views: Mapping[int, ViewPlan], clock_of: Mapping[int, int], state: SweptState, cursor: bytes | None, limit: int
) -> tuple[list[bytes], bytes | None]:
    """Looks at the next keys and returns those to delete, and where to go on; None once the last key was looked at.

    Args:
        views: the views that are kept, by id. None that state may have taken up may be missing.
        clock_of: each view's clock (``clocks``); a view without one loses nothing.
        state: what to look at.
        cursor: where the sweep goes on; None begins one.
        limit: how many keys to look at; at least ``MIN_LIMIT``.
    """
    if limit < MIN_LIMIT:
        raise ValueError(f"limit is {limit}, expected at least {MIN_LIMIT}")
    keys = state.keys(cursor or _FIRST, _END, limit)
    ended = len(keys) < limit
    # A row is judged beside the key after it, so the last key of a step is left to the next one, which begins with it.
    judged = pairwise([*keys, _END] if ended else keys)
    deletes = [key for key, following in judged if _is_dead(key, following, views, clock_of)]
    return deletes, None if ended else keys[-1]


def _is_dead(key: bytes, following: bytes, views: Mapping[int, ViewPlan], clock_of: Mapping[int, int]) -> bool:
    for space in (DIGESTS, WATERMARKS):
        if key.startswith(space):
            return numbered_by(space, key) not in views
    space = key[:1]
    if space not in {ROWS, TILES}:
        return False
    number = view_of(key)
    view, now = views.get(number), clock_of.get(number)
    # ``views`` has all that state may have taken up, so this one was retired and has ended.
    if view is None:
        return True
    # Without a watermark nothing is old: by the host's clock alone, one that is ahead would empty the view.
    if now is None:
        return False
    if view.identity and space == ROWS:
        # What follows may be no row of the view; cut as if it were, it still equals none.
        key, following = without_identity(key), without_identity(following)
    time = time_of(key)
    if view.horizon is not None:
        # A tile goes once its end is old: any earlier, a window that begins inside of it would lose rows.
        end = time + (resolution_of(key) if space == TILES else 1)
        return end <= now - view.horizon - DAY
    # Past its ttl for every reader, and too old for a correction to bring it back.
    if view.ttl is not None and time < now - view.ttl - view.grace - _LEEWAY:
        return True
    # A late event may still come between this row and the one after it, or a reader still ask for this one.
    if time >= now - max(view.grace, view.ttl or 0):
        return False
    # Superseded, also for a reader whose clock is behind by the leeway.
    return following[WITHOUT_TIME] == key[WITHOUT_TIME] and time_of(following) <= now - _LEEWAY
