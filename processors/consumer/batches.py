"""What passes between the intake, which reads partitions, and the owners, which process them.

Invariant: an owner is used by one thread at a time: made and closed in the Kafka thread, used in the event loop only
while ``is_owned``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from confluent_kafka import Message


class PartitionWorker(Protocol):
    """Whoever processes one partition."""

    is_owned: bool
    """Whether steps may run; cleared in the event loop. Looked at again after each await of a step."""
    next_offset: int
    """Where the partition's processing goes on."""

    @property
    def waits_for(self) -> str | None:
        """What the partition has to wait for, in words, or None; no more of it is read meanwhile."""

    @property
    def committable(self) -> int | None:
        """The group offset to commit, or None as long as there is none."""

    def start_offset(self, committed: int | None, earliest: int) -> int | None:
        """Returns where to read on; None for the earliest.

        ``committed`` is the group's offset, if there is one, ``earliest`` the first offset that Kafka holds.
        """

    def close(self) -> None:
        """Releases files and locks; called in the Kafka thread once no step can run any more."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages of one partition in order; none for a tick, which comes about once a second.

    ``done`` is called once, from any thread: it makes room for another batch. An owner that begins to wait calls it for
    what it keeps until then, so that it holds up no other partition.
    """

    owner: PartitionWorker
    messages: list[Message]
    done: Callable[[], None]


def once(call: Callable[[], None]) -> Callable[[], None]:
    """Returns a function that makes a call, the first time it is called itself, and then does nothing."""
    left = [call]

    def call_first() -> None:
        if left:
            left.pop()()

    return call_first
