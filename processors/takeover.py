"""Partitions that the group has given to this process and that have no owner here yet.

Invariant: nobody waits for a partition whose files another process keeps, a frozen one most likely: it is tried again
at each call, while the others are read, for as long as the group leaves it here.
"""

from collections.abc import Callable, Iterable, Mapping

from infra.logs import get_logger
from processors.partitions import Where
from schemas.errors import LockedError

_log = get_logger(__name__)


class Takeover:
    """Used by the Kafka thread; ``problem`` may be read from any.

    Args:
        take: opens the owner of a partition, given the group's offset if there is one; returns where to read on, None
            if nobody is to read it (``processors.partitions.Partitions.take``).

    Attributes:
        problem: which partitions wait, and for what; None if none does.
    """

    def __init__(self, take: Callable[[Where, int | None], int | None]) -> None:
        self._take = take
        self._pending: dict[Where, int | None] = {}
        self._kept: dict[Where, str] = {}
        self.problem: str | None = None

    def add(self, committed: Mapping[Where, int | None]) -> None:
        """Takes what the group has assigned, with the group's offsets; nobody else commits any until it is let go."""
        self._pending |= committed

    def drop(self, partitions: Iterable[Where]) -> None:
        """Forgets what the group has taken away."""
        for where in partitions:
            self._pending.pop(where, None)
            self._kept.pop(where, None)
        self._tell()

    def run(self) -> dict[Where, int]:
        """Tries every partition once; returns where to read on those that have an owner now.

        Raises:
            HeadraceError: an owner cannot be opened, for another reason than that another process keeps its files.
        """
        starts = {}
        for where, committed in list(self._pending.items()):
            try:
                start = self._take(where, committed)
            except LockedError as error:
                if where not in self._kept:
                    _log.warning("partition waits for another process", partition=where, problem=error.message)
                self._kept[where] = error.message
                continue
            del self._pending[where]
            self._kept.pop(where, None)
            if start is not None:
                starts[where] = start
        self._tell()
        return starts

    def _tell(self) -> None:
        waiting = [f"{topic}[{partition}] waits: {why}" for (topic, partition), why in self._kept.items()]
        self.problem = "; ".join(waiting) or None
