"""How many records a second an account, or a source, may send to one ingest process: token buckets.

Invariant: over any stretch of time no more is let in than its rate allows, and one call besides; a call that is refused
costs nothing. Without a rate nothing is counted.
"""

import math
import time
from collections.abc import Callable
from typing import Final

from schemas.errors import OverloadedError

BUCKETS_KEPT: Final = 10_000
"""Accounts, or sources, that are remembered; of more, the one that came first starts anew with a full bucket."""


class Rate:
    """Buckets of one kind, by name; for use by one event loop.

    A bucket holds what may be sent in a second. A call is let in while there is anything in it, and takes all that it
    has records, on credit if need be: so a call of any size passes, and those that follow wait for it.

    Args:
        per_second: records; 0 for no limit.
        what: of which kind, for messages.
        clock: seconds that never run backwards.
    """

    def __init__(self, per_second: float, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._what = what
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}  # what is in it, and when that was so

    def check(self, name: str) -> None:
        """Lets a call in, without counting it.

        Raises:
            OverloadedError: it has to wait; says how long.
        """
        if not self._per_second:
            return
        content = self._content(name)
        if content > 0:
            return
        seconds = max(1, math.ceil(-content / self._per_second))
        raise OverloadedError(
            f"{self._what} '{name}' may send {self._per_second:g} records a second, and has sent them; try again in "
            f"{seconds} s",
            seconds,
        )

    def take(self, name: str, records: int) -> None:
        """Counts the records of a call that was let in."""
        if not self._per_second:
            return
        self._buckets[name] = (self._content(name) - records, self._clock())
        if len(self._buckets) > BUCKETS_KEPT:
            del self._buckets[next(iter(self._buckets))]

    def _content(self, name: str) -> float:
        known = self._buckets.get(name)
        if known is None:
            return self._per_second
        content, since = known
        return min(self._per_second, content + (self._clock() - since) * self._per_second)


NO_LIMIT: Final = Rate(0, "")
"""Lets in whatever comes."""
