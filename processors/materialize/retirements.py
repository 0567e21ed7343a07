"""For how long removed views have been kept in one updates partition, and which have been kept long enough.

Invariant: only time counts in which the partition's owner ran, so that a machine that was off, or asleep, does not use
up a view's grace. At most ``WRITE_SECONDS`` of it are lost at a death, and all of it with the folder: the view is then
kept for longer.

Layout: ``schemas.state``, ``retired/{view id}``. A view that came back and was removed again begins anew.
"""

from collections.abc import Mapping
from typing import Final

from schemas.definitions.plan import RetiredView
from schemas.state.keys import RETIRED, numbered_by, retired_key
from schemas.state.reader import State
from schemas.state.values import decode, encode

WRITE_SECONDS: Final = 30.0
LONGEST_TICK_SECONDS: Final = 10.0  # ticks come every second: what is longer was a pause of the process
TELL_AGAIN_SECONDS: Final = 60.0


class Retirements:
    """Counts the time of one partition's retired views.

    Args:
        state: of the partition.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._counted: dict[int, tuple[int, float]] = {
            numbered_by(RETIRED, key): tuple(decode(value)) for key, value in state.scan(RETIRED, RETIRED + b"\xff")
        }
        self._last: float | None = None
        self._written = 0.0
        self._told: dict[int, float] = {}

    def tick(self, retired: Mapping[str, RetiredView], now: float) -> list[RetiredView]:
        """Counts the time since the tick before; returns the views that are to be told to have ended.

        Args:
            retired: of the newest plan.
            now: seconds that never run backwards.

        Raises:
            StorageError: the state cannot be written.
        """
        passed = 0.0 if self._last is None else min(now - self._last, LONGEST_TICK_SECONDS)
        self._last = now
        if not retired and not self._counted:
            return []
        before = self._counted
        self._counted = {}
        for each in retired.values():
            since, seconds = before.get(each.view.id, (each.since, -passed))  # seen first now: nothing has passed yet
            self._counted[each.view.id] = (each.since, seconds + passed if since == each.since else 0.0)
        gone = before.keys() - self._counted.keys()
        if gone or now - self._written >= WRITE_SECONDS:
            kept = [(retired_key(view), encode(counted)) for view, counted in sorted(self._counted.items())]
            self._state.write([*kept, *((retired_key(view), None) for view in sorted(gone))])
            self._written = now
        return [each for each in retired.values() if self._is_due(each, now)]

    def _is_due(self, retired: RetiredView, now: float) -> bool:
        """Returns whether a view has been kept long enough and nobody was told of it lately."""
        view = retired.view.id
        told = self._told.get(view)
        if self._counted[view][1] < retired.grace or (told is not None and now - told < TELL_AGAIN_SECONDS):
            return False
        self._told[view] = now
        return True
