"""Partitions that the group has given to this process and that have no owner here yet.

Invariant: nobody waits for a partition whose files another process keeps, a frozen one most likely, or of which Kafka
does not answer: it is tried again at each call, while the others are read, for as long as the group leaves it here.
"""

from collections.abc import Callable, Iterable

from infra.logs import get_logger
from processors.consumer.assignment import Where
from processors.consumer.partition_states import Event, PartitionStates
from schemas.errors import LockedError, UnavailableError

_log = get_logger(__name__)


class Takeover:
    """Used by the Kafka thread; ``problem`` may be read from any.

    Args:
        take: opens the owner of a partition; returns where to read on, None if nobody is to read it.
        states: of all partitions that the group has given.

    Attributes:
        problem: which partitions wait, and for what; None if none does.
    """

    def __init__(self, take: Callable[[Where], int | None], states: PartitionStates) -> None:
        self._take = take
        self._states = states
        self.problem: str | None = None

    def add(self, partitions: Iterable[Where]) -> None:
        """Takes what the group has assigned."""
        for where in partitions:
            self._states.note(where, Event.GIVEN)

    def drop(self, partitions: Iterable[Where]) -> None:
        """Forgets what the group has taken away."""
        self._states.drop(partitions)
        self._tell()

    def run(self) -> dict[Where, int]:
        """Tries the partitions once; returns where to read on those that have an owner now.

        A Kafka that does not answer ends the round, since each further question may take seconds, too; the next round
        begins with the others.

        Raises:
            HeadraceError: an owner cannot be opened, for a reason that does not pass by itself.
        """
        starts = {}
        for where in self._states.waiting():
            try:
                start = self._take(where)
            except (LockedError, UnavailableError) as error:
                if self._states.why(where) != error.message:
                    _log.warning("partition waits", partition=where, problem=error.message)
                self._states.note(where, Event.FAILED, error.message)
                if isinstance(error, UnavailableError):
                    break
                continue
            self._states.note(where, Event.UNWANTED if start is None else Event.TAKEN)
            if start is not None:
                starts[where] = start
        self._tell()
        return starts

    def _tell(self) -> None:
        waiting = [
            f"{where[0]}[{where[1]}] waits: {self._states.why(where) or 'for its turn'}"
            for where in self._states.waiting()
        ]
        self.problem = "; ".join(waiting) or None
