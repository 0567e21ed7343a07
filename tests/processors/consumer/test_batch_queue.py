import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import pytest

from processors.consumer.batch_queue import BatchQueue
from processors.consumer.batches import Batch, PartitionWorker
from processors.waiting import NotHereError
from schemas.errors import StorageError

SECONDS = 20.0


@dataclass
class Work:
    pieces: list[str]
    given_back: list[bool] = field(default_factory=list)
    waited: set[str] = field(default_factory=set)

    @property
    def give_back(self) -> Callable[[], None]:
        return lambda: self.given_back.append(True)


class Partition:
    """An owner that does the pieces of its batches, and waits once before a piece that begins with ``late``."""

    def __init__(self) -> None:
        self.is_owned = True
        self.done: list[str] = []
        self.turns: list[Batch] = []
        self.here = asyncio.Event()
        self.turn = asyncio.Event()
        self.queue: BatchQueue[Work] = BatchQueue(cast("PartitionWorker", self), self.send)

    async def send(self, batch: Batch) -> None:
        self.turns.append(batch)
        self.turn.set()

    async def arrive(self) -> None:
        await self.here.wait()

    async def advance(self, work: Work) -> bool:
        piece = work.pieces[0]
        if piece.startswith("late") and piece not in work.waited:
            raise NotHereError(piece, self.arrive)
        self.done.append(work.pieces.pop(0))
        return not work.pieces

    async def work_off(self) -> None:
        await self.queue.work_off(self.advance)


def test_batches_are_done_in_order_piece_by_piece() -> None:
    async def run() -> Partition:
        partition = Partition()
        for pieces in (["a", "b"], ["c"]):
            partition.queue.append(Work(pieces))
        await partition.work_off()
        return partition

    partition = asyncio.run(run())
    assert partition.done == ["a", "b", "c"]
    assert partition.queue.is_empty
    assert partition.queue.waits_for is None


def test_batches_that_wait_are_given_back_and_nothing_overtakes_them() -> None:
    async def run() -> None:
        partition = Partition()
        works = [Work(["a", "late b"]), Work(["c"]), Work(["d"])]
        for work in works[:2]:
            partition.queue.append(work)
        await partition.work_off()
        assert (partition.done, partition.queue.waits_for) == (["a"], "late b")
        partition.queue.append(works[2])
        await partition.work_off()  # another batch, or a tick, that comes meanwhile
        assert partition.done == ["a"]
        assert all(work.given_back for work in works)
        assert partition.turns == []
        partition.here.set()
        await asyncio.wait_for(partition.turn.wait(), SECONDS)
        assert partition.queue.waits_for is None
        (turn,) = partition.turns
        assert turn.owner is cast("PartitionWorker", partition)
        assert turn.messages == []
        await partition.work_off()
        assert partition.done == ["a", "late b", "c", "d"]

    asyncio.run(run())


def test_what_ends_a_wait_ends_the_process() -> None:
    async def broken() -> None:
        raise StorageError("no child can be started")

    async def run() -> None:
        partition = Partition()

        async def advance(_work: Work) -> bool:
            raise NotHereError("what never comes", broken)

        partition.queue.append(Work(["a"]))
        await partition.queue.work_off(advance)
        await asyncio.wait_for(partition.turn.wait(), SECONDS)
        with pytest.raises(StorageError, match="no child"):
            await partition.queue.work_off(advance)

    asyncio.run(run())


def test_a_partition_that_is_let_go_keeps_nothing_and_does_no_further_piece() -> None:
    async def run() -> None:
        partition = Partition()
        works = [Work(["a", "b"]), Work(["c"])]

        async def advance(work: Work) -> bool:
            partition.is_owned = False  # while a piece waits for Kafka's room, say
            return await partition.advance(work)

        for work in works:
            partition.queue.append(work)
        await partition.queue.work_off(advance)
        assert partition.done == ["a"]
        assert all(work.given_back for work in works)
        assert partition.queue.is_empty

    asyncio.run(run())


def test_others_get_their_turn_between_two_pieces() -> None:
    async def run() -> None:
        partition = Partition()
        seen: list[int] = []

        async def other() -> None:
            seen.append(len(partition.done))

        async def advance(work: Work) -> bool:
            if not partition.done:
                turn.append(asyncio.get_running_loop().create_task(other()))
            return await partition.advance(work)

        turn: list[asyncio.Task[None]] = []
        partition.queue.append(Work(["a", "b"]))
        await partition.queue.work_off(advance)
        await turn[0]
        assert seen == [1]

    asyncio.run(run())
