"""The batches of one partition that are not done yet, worked off in order, and what the first of them waits for.

Invariant: while a partition waits, nothing of its batches is lost or overtaken, and they hold up no other partition:
they are given back, which makes room for others', and no more of it is read (``waits_for``), which bounds what is kept.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar

from processors.consumer.batches import Batch, PartitionWorker
from processors.waiting import NotHereError


class Work(Protocol):
    """What is left of a batch."""

    @property
    def waited(self) -> set[str]:
        """What was waited for so far, in words: what has not come by then was made up by whoever wrote the batch."""
        ...

    @property
    def give_back(self) -> Callable[[], None]:
        """Makes room for another batch; may be called again, which does nothing."""
        ...


W = TypeVar("W", bound=Work)


class BatchQueue(Generic[W]):
    """For use in the event loop alone.

    Args:
        owner: of the partition.
        send: puts a batch on the channel by which the owner gets its turns.

    Attributes:
        waits_for: see ``processors.consumer.batches.PartitionWorker``.
    """

    def __init__(self, owner: PartitionWorker, send: Callable[[Batch], Coroutine[Any, Any, None]]) -> None:
        self.waits_for: str | None = None
        self._owner = owner
        self._send = send
        self._kept: deque[W] = deque()
        self._waiting: asyncio.Task[None] | None = None
        self._turn: asyncio.Task[None] | None = None  # a task that nobody holds may be collected before it has run

    @property
    def is_empty(self) -> bool:
        """Whether no batch is left."""
        return not self._kept

    def append(self, work: W) -> None:
        """Adds a batch behind those that are left."""
        self._kept.append(work)

    async def work_off(self, advance: Callable[[W], Awaitable[bool]]) -> None:
        """Works until no batch is left, the partition waits, or it is let go.

        Args:
            advance: does a bounded piece of a batch and returns whether it was the last one; raises NotHereError before
                it has done anything if the batch has to wait.

        Raises:
            BaseException: what ``advance``, or the wait before, met.
        """
        while self._kept and self._owner.is_owned and not self._waits():
            first = self._kept[0]
            try:
                is_done = await advance(first)
            except NotHereError as missing:
                first.waited.add(missing.what)
                self._wait(missing)
                break
            if is_done:
                self._kept.popleft()
            await asyncio.sleep(0)  # others get their turn: who lets partitions go, who asks for health
        for work in self._kept:
            work.give_back()
        if not self._owner.is_owned:
            self._kept.clear()  # the next owner reads them again

    def _waits(self) -> bool:
        """Returns whether the wait is not over; raises what it met."""
        if self._waiting is None or not self._waiting.done():
            return self._waiting is not None
        ended, self._waiting = self._waiting, None
        ended.result()
        return False

    def _wait(self, missing: NotHereError) -> None:
        self.waits_for = missing.what
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_task(missing.until())

        # The channel gives the turn, so that the partition goes on where all its batches are processed: one at a time.
        def over(_task: object) -> None:
            self.waits_for = None
            self._turn = loop.create_task(self._send(Batch(self._owner, [], lambda: None)))

        self._waiting.add_done_callback(over)
