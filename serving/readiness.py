"""Whether the online state of a workspace can be read: found out in the background, so that a probe costs nothing.

Invariant: a probe is answered from what is known and never touches state, however often strangers ask; between two
turns of the event loop one partition is looked at, at most.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from schemas.errors import UnavailableError

ROUND_SECONDS: Final = 1.0
LOOKS_PER_ROUND: Final = 8
"""Partitions known to be readable that a round looks at again; those that are not yet are all looked at."""

UNKNOWN: Final = "not looked at yet"


class StateReadiness:
    """For use by one event loop.

    Args:
        workspace: whose state.
        partitions: returns how many it has now; 0 without a plan.
        open_partition: makes a partition readable.
    """

    def __init__(self, workspace: str, partitions: Callable[[], int], open_partition: Callable[[int], object]) -> None:
        self._workspace = workspace
        self._partitions = partitions
        self._open = open_partition
        self._found: dict[int, str | None] = {}
        self._turn = 0

    def missing(self) -> dict[str, str]:
        """Returns why not, by name, of the partitions that could not be read when they were looked at last."""
        found = {number: self._found.get(number, UNKNOWN) for number in range(self._partitions())}
        return {f"state/{self._workspace}/{number}": reason for number, reason in found.items() if reason is not None}

    async def run(self) -> None:
        """Looks at partitions, round after round, until it is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(ROUND_SECONDS)

    async def look(self) -> None:
        """Does one round."""
        for number in self._due():
            try:
                self._open(number)
            except UnavailableError as error:
                self._found[number] = error.message
            else:
                self._found[number] = None
            await asyncio.sleep(0)

    def _due(self) -> list[int]:
        count = self._partitions()
        unread = [number for number in range(count) if self._found.get(number, UNKNOWN) is not None]
        again = [(self._turn + step) % count for step in range(min(LOOKS_PER_ROUND, count))]
        self._turn += len(again)
        return [*unread, *(number for number in again if self._found.get(number, UNKNOWN) is None)]
