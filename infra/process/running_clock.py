"""A clock of the time in which its reader itself ran.

Invariant: between two looks it moves on by a step at most. Whoever measures the silence of another process by it does
not count the time for which the machine, or the reader, was suspended: the other may have been suspended too.
"""

import time
from collections.abc import Callable


class RunningClock:
    """Starts at 0; not for use by several threads at once.

    Args:
        longest_step: seconds that two looks may lie apart and count in full: what the reader's own pauses take, and
            some more for a busy machine.
        clock: of all time, in seconds.
    """

    def __init__(self, longest_step: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._longest_step = longest_step
        self._clock = clock
        self._seen = clock()
        self._now = 0.0

    def now(self) -> float:
        """Returns how long the reader has run, in seconds."""
        seen = self._clock()
        self._now += min(max(0.0, seen - self._seen), self._longest_step)
        self._seen = seen
        return self._now
