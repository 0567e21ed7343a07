"""The partitions of one consumer group that this process owns: how they are taken over, how far they are, how let go.

Invariant: from ``take`` to ``release`` a partition has one owner, and its messages pass in offset order; once
``release`` has begun, no step of the owner runs any more.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final

from confluent_kafka import Message

from infra.logs import get_logger
from processors.consumer.batches import PartitionWorker
from processors.consumer.offsets import check_offsets
from schemas.errors import StorageError, UnavailableError

FENCE_SECONDS: Final = 15.0

Where = tuple[str, int]
"""Topic and partition."""

_log = get_logger(__name__)


class Partitions:
    """Used by the Kafka thread; ``lag`` and ``owners`` may be read from any.

    Args:
        loop: where owners process batches.
        make_owner: opens the owner of a partition; None for one that the definitions no longer have.
        reset_to_earliest: see ``processors.consumer.offsets.check_offsets``.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        make_owner: Callable[[str, int], PartitionWorker | None],
        *,
        reset_to_earliest: bool,
    ) -> None:
        self.owners: dict[Where, PartitionWorker] = {}
        self._loop = loop
        self._make_owner = make_owner
        self._reset_to_earliest = reset_to_earliest
        self._taken: dict[Where, int] = {}  # where reading began
        self._received: dict[Where, int] = {}  # the offset after the last record that was received
        self._passed: dict[Where, int] = {}  # how far the client has read, markers of transactions included
        self._emptied: dict[Where, int] = {}  # where Kafka had nothing more to read
        self._ends: dict[Where, int] = {}  # of the partition, as Kafka told
        self._committed: dict[Where, int] = {}

    def take(self, where: Where, committed: int | None, bounds: Callable[[], tuple[int, int]]) -> int | None:
        """Opens the owner of a partition and returns where to read on; None if nobody is to read it.

        Args:
            where: which one.
            committed: the group's offset, if it has one.
            bounds: asks Kafka for the first offset that it holds and the one that the next record will get.

        Raises:
            HeadraceError: the owner cannot be opened, or Kafka does not hold what it needs.
        """
        owner = self._make_owner(*where)
        if owner is None:
            return None
        try:
            earliest, latest = bounds()
            start = owner.start_offset(committed, earliest)
            checked = check_offsets(where, start, earliest, latest, reset_to_earliest=self._reset_to_earliest)
        except BaseException:
            owner.close()
            raise
        owner.next_offset = earliest if checked is None else checked
        if start is not None and start < owner.next_offset:
            _log.warning("records expired in Kafka unread", partition=where, first=start, next=owner.next_offset)
        self._taken[where] = self._received[where] = owner.next_offset
        self.owners[where] = owner
        return owner.next_offset

    def release(self, partitions: Sequence[Where]) -> None:
        """Fences the owners of partitions, then closes them; batches on their way are dropped by their owners.

        Raises:
            UnavailableError: the event loop does not answer; nothing is closed, so the process must end.
        """
        gone = [self.owners.pop(where) for where in partitions if where in self.owners]
        for where in partitions:
            for known in (self._taken, self._received, self._passed, self._emptied, self._ends, self._committed):
                known.pop(where, None)

        fenced: Future[None] = Future()

        def fence() -> None:  # no coroutine: a loop that ends in this moment would leave it unawaited
            for owner in gone:
                owner.is_owned = False
            fenced.set_result(None)

        if gone and self._loop.is_running():
            try:
                self._loop.call_soon_threadsafe(fence)
                fenced.result(FENCE_SECONDS)
            except TimeoutError as error:
                raise UnavailableError(
                    f"partitions {list(partitions)} cannot be let go: the process has been busy for {FENCE_SECONDS:g} "
                    "s, perhaps in a view's function; starting over"
                ) from error
        for owner in gone:
            owner.close()

    def receive(self, where: Where, messages: Sequence[Message]) -> PartitionWorker | None:
        """Notes that messages came; returns who is to get them, None if the partition was let go meanwhile.

        Raises:
            StorageError: they came before: what was processed would be processed again.
        """
        owner = self.owners.get(where)
        if owner is not None:
            first = messages[0].offset() or 0
            if first < self._received[where]:
                raise StorageError(
                    f"{where[0]} partition {where[1]}: offset {first} came after {self._received[where] - 1}; was the "
                    "topic made anew? start this process again"
                )
            self._received[where] = (messages[-1].offset() or 0) + 1
        return owner

    def note_end(self, where: Where, end: int) -> None:
        """Notes the offset that a partition's next message will get; not all before it need be records to read."""
        self._ends[where] = end

    def note_passed(self, where: Where, offset: int) -> None:
        """Notes how far the client has read: past records that were received, and past what no consumer ever sees.

        Such are the markers with which transactions end, aborted records, and gaps of compaction.
        """
        self._passed[where] = offset

    def note_emptied(self, where: Where, offset: int) -> None:
        """Notes that Kafka had nothing more to read at an offset: the end, or a transaction that is still open."""
        self._passed[where] = self._emptied[where] = offset

    def lag(self) -> dict[Where, int]:
        """Returns how far each owned partition is behind what it could have processed, as far as is known here.

        In offsets: at least the records that wait, and 0 only if none does.
        """
        return {
            where: max(0, self._received.get(where, 0) - owner.next_offset) + self._unread(where)
            for where, owner in list(self.owners.items())
        }

    def _unread(self, where: Where) -> int:
        position = max(self._passed.get(where, 0), self._received.get(where, 0))
        return 0 if self._emptied.get(where) == position else max(0, self._ends.get(where, 0) - position)

    def to_commit(self) -> dict[Where, int]:
        """Returns the group offsets that have changed since they were returned last.

        Once all that was received is done, that is how far the client has read: a group whose offset stood before the
        marker of a transaction would look behind for ever.
        """
        changed = {}
        for where, owner in self.owners.items():
            done = owner.committable
            passed = self._passed.get(where, 0)
            if passed > self._received[where] == (self._taken[where] if done is None else done):
                done = passed
            if done is not None and self._committed.get(where) != done:
                changed[where] = self._committed[where] = done
        return changed

    def not_committed(self, partitions: Sequence[Where]) -> None:
        """Has offsets returned by ``to_commit`` once more."""
        for where in partitions:
            self._committed.pop(where, None)
