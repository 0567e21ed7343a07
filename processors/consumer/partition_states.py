"""What becomes of the partitions that the group has given to this process: one table of their states.

A partition has a state from the moment the group gives it until it takes it away::

    GIVEN -> WAITING --TAKEN--> READ <--WAITS / GOES_ON--> HELD
               |  ^
               |  +--FAILED (its files are another process's, or Kafka does not answer: tried again)
               +--UNWANTED--> UNREAD

Invariant: the client reads a partition if and only if `is_read` says so; what `PartitionStates.pauses` returns keeps it
that way.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final, NamedTuple

from processors.consumer.assignment import Where


class State(Enum):
    """Of one partition."""

    WAITING = "no owner here yet"
    READ = "has an owner"
    HELD = "has an owner, which waits for a plan or a schema; what it keeps meanwhile must be bounded"
    UNREAD = "nobody is to read it"


class Event(Enum):
    """What happens to one partition."""

    GIVEN = "the group gives it to this process"
    FAILED = "its owner cannot be opened yet"
    TAKEN = "its owner is opened"
    UNWANTED = "the definitions have no use for it"
    WAITS = "its owner begins to wait"
    GOES_ON = "its owner waits no longer"


TRANSITIONS: Final[Mapping[tuple[State | None, Event], State]] = {
    (None, Event.GIVEN): State.WAITING,
    (State.UNREAD, Event.GIVEN): State.WAITING,  # given once more, it may be wanted by now
    (State.WAITING, Event.GIVEN): State.WAITING,
    (State.WAITING, Event.FAILED): State.WAITING,
    (State.WAITING, Event.TAKEN): State.READ,
    (State.WAITING, Event.UNWANTED): State.UNREAD,
    (State.READ, Event.WAITS): State.HELD,
    (State.HELD, Event.GOES_ON): State.READ,
}


def after(state: State | None, event: Event) -> State:
    """Returns the state of a partition after an event; None stands for one that the group has not given.

    Raises:
        RuntimeError: no such thing can happen to it.
    """
    found = TRANSITIONS.get((state, event))
    if found is None:
        raise RuntimeError(f"a partition that {state.value if state else 'is not here'}: {event.value}")
    return found


def is_read(state: State, *, holding: bool) -> bool:
    """Tells whether the client is to read a partition; ``holding``: all batches are in work, none is read."""
    return state is State.READ and not holding


class Pauses(NamedTuple):
    """What is to be told to the client."""

    begun: frozenset[Where]
    ended: frozenset[Where]


class PartitionStates:
    """The table; used by the Kafka thread.

    Attributes:
        holding: whether nothing is read for now, whatever the state.
    """

    def __init__(self) -> None:
        self.holding = False
        self._states: dict[Where, State] = {}
        self._why: dict[Where, str] = {}  # those that wait do, as far as is known
        self._paused: frozenset[Where] = frozenset()  # as the client was told last

    def note(self, where: Where, event: Event, why: str | None = None) -> None:
        """Notes an event.

        Args:
            where: to which partition.
            event: what happened.
            why: what a partition that failed waits for.
        """
        state = after(self._states.get(where), event)
        if event is Event.FAILED:
            del self._states[where]  # it comes last now: the others are tried first
        self._states[where] = state
        if why is None:
            self._why.pop(where, None)
        else:
            self._why[where] = why

    def drop(self, partitions: Iterable[Where]) -> None:
        """Forgets what the group has taken away."""
        for where in partitions:
            self._states.pop(where, None)
            self._why.pop(where, None)
            self._paused -= {where}

    def state(self, where: Where) -> State | None:
        """Returns the state of a partition; None for one that is not here."""
        return self._states.get(where)

    def waiting(self) -> list[Where]:
        """Returns the partitions that wait for an owner, the one to try first first."""
        return [where for where, state in self._states.items() if state is State.WAITING]

    def why(self, where: Where) -> str | None:
        """Returns what a partition waits for, once that is known."""
        return self._why.get(where)

    def note_waits(self, waiting: Mapping[Where, bool]) -> None:
        """Notes which owners wait now.

        Args:
            waiting: of every partition that has an owner, whether it waits.
        """
        for where, waits in waiting.items():
            if waits is not (self._states.get(where) is State.HELD):
                self.note(where, Event.WAITS if waits else Event.GOES_ON)

    def pauses(self) -> Pauses:
        """Returns which partitions the client is to pause and to resume, and takes it that it does."""
        owned = {where: state for where, state in self._states.items() if state in {State.READ, State.HELD}}
        paused = frozenset(where for where, state in owned.items() if not is_read(state, holding=self.holding))
        found = Pauses(paused - self._paused, self._paused - paused)
        self._paused = paused
        return found
