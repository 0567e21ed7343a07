"""Which keys of online state nobody can need any more (design §3, "One horizon").

Invariant: no read with a leading edge at or after ``now`` gives another answer once they are deleted.

- Aggregate views: rows, and tiles as a whole, older than the horizon and a day more. The day keeps clear of events that
  arrive at the last moment.
- Attribute views: rows older than grace and ttl that a newer row, not later than ``now``, has superseded.
- Views that are no longer in the plan: everything.
"""

from collections.abc import Mapping
from itertools import islice, pairwise
from typing import Final

from schemas.keys import WATERMARKS, row_prefix, tile_prefix, time_of
from schemas.plan import ViewPlan
from schemas.state_reader import Reader
from schemas.windows import DAY

MIN_LIMIT: Final = 2  # a row is judged beside the one after it

_ROWS = row_prefix(0, b"")[:1]
_TILES = tile_prefix(0, b"")[:1]
_FIRST = min(_ROWS, _TILES, WATERMARKS)
_END = bytes([max(_ROWS, _TILES, WATERMARKS)[0] + 1])
_VIEW = slice(1, 9)  # of row and tile keys (``schemas.keys``)
_KEY = slice(0, -8)
_RESOLUTION = slice(-16, -8)


def sweep(
    views: Mapping[int, ViewPlan], state: Reader, cursor: bytes | None, now: int, limit: int
) -> tuple[list[bytes], bytes | None]:
    """Looks at the next keys and returns those to delete, and where to go on; None once the last key was looked at.

    Args:
        views: the views of the newest plan, by id. It must not be older than one that state was written under.
        state: what to look at.
        cursor: where the sweep goes on; None begins one.
        now: µs since the epoch; no read has an earlier leading edge.
        limit: how many keys to look at; at least ``MIN_LIMIT``.
    """
    if limit < MIN_LIMIT:
        raise ValueError(f"limit is {limit}, expected at least {MIN_LIMIT}")
    keys = [key for key, _ in islice(state.scan(cursor or _FIRST, _END), limit)]
    ended = len(keys) < limit
    judged = pairwise([*keys, _END] if ended else keys)
    deletes = [key for key, following in judged if _is_dead(key, following, views, now)]
    return deletes, None if ended else keys[-1]


def _is_dead(key: bytes, following: bytes, views: Mapping[int, ViewPlan], now: int) -> bool:
    if key.startswith(WATERMARKS):
        return int(key[len(WATERMARKS) :]) not in views
    space = key[:1]
    if space not in {_ROWS, _TILES}:
        return False
    view = views.get(int.from_bytes(key[_VIEW], "big"))
    if view is None:
        return True
    time = time_of(key)
    if view.horizon is not None:
        end = time + (int.from_bytes(key[_RESOLUTION], "big") if space == _TILES else 1)
        return end <= now - view.horizon - DAY
    if time >= now - max(view.grace, view.ttl or 0):
        return False
    return following[_KEY] == key[_KEY] and time_of(following) <= now
