"""One updates partition in a running processor, the way of its batches put together.

Invariant: the folder of the partition is this process's alone from ``__init__`` to ``close``; a batch that was begun is
either in log and state or will be read again.

The way of a batch, of a partition that is this process's (``processors.consumer.faust_channels.process``):

1. Hold: the partition's files are still in their places.
2. Decode: messages become updates; what is none is told and passed over (``decode``).
3. Follow: the newest plan is taken up (``processors.consumer.plans``); a batch that names one which is not here waits,
   and its partition with it (``processors.consumer.batch_queue``).
4. Write: the offline log gets the updates, then state (``step``). From then on the offset behind them may be committed.
5. Send: the answers for whoever waits go to Kafka. Once they are there, the batch is given back.

A tick has nothing to decode: the partition goes on with what it waited for, and then keeps house (``housekeeping``).
"""

import time
from collections.abc import Callable, Coroutine
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from infra.database.layout import DatabaseResources
from infra.database.primary import PrimaryDatabase
from infra.kafka.definitions import DefinitionsLog
from infra.logs import get_logger
from infra.metrics import (
    BATCH_SECONDS,
    DEAD_LETTERS,
    OFFLINE_LOG_BEGINS,
    ROWS,
    ROWS_REREAD,
    STATE_DROPPED,
)
from infra.paths import offline_log_folder, state_path, version_path
from infra.segments.disk import Disk
from infra.segments.log import begins_at
from processors.consumer.batch_queue import BatchQueue
from processors.consumer.batches import Batch, PartitionWorker, once
from processors.consumer.plans import PLAN_SECONDS, PlanFollower
from processors.logs.offline_log import OfflineLog
from processors.materialize.decode import decode
from processors.materialize.held_clock import HeldClock
from processors.materialize.housekeeping import Housekeeping
from processors.materialize.rebuild import rebuild
from processors.materialize.step import MaterializeStep, StoreFailedError
from processors.producer.messages import ended_messages
from processors.producer.sender import DeliveryProducer
from schemas.definitions.plan import Plan
from schemas.errors import CodecError
from schemas.messages.updates import UpdateMessage
from schemas.state.keys import CLOCK
from schemas.topics import updates_topic

CHECK_SECONDS: Final = 0.5  # at most between two looks at whether the partition's files are still there

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MaterializeShared:
    """What all updates partitions of a process share.

    Attributes:
        installation: whose callers are answered.
        make_clock: returns the clock of retention, from what a former one of the same state saved.
        send: puts a batch on the partitions' channel.
    """

    data: Path
    disk: Disk
    definitions: DefinitionsLog
    resources: DatabaseResources
    deliveries: DeliveryProducer
    installation: str
    make_clock: Callable[[bytes | None], HeldClock]
    send: Callable[[Batch], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class _Work:
    """A batch that is not written yet (``processors.consumer.batch_queue.Work``).

    ``plan``: the newest that its updates name. ``next_offset``: where the partition goes on after it.
    """

    updates: list[UpdateMessage]
    plan: int
    next_offset: int
    give_back: Callable[[], None]
    waited: set[str] = field(default_factory=set)


class MaterializeWorker(PartitionWorker):
    """The owner of one updates partition.

    Args:
        parts: shared by all partitions.
        plan: of the workspace whose updates these are.
        partition: which partition.
        beat: called now and then while it is opened, which takes long if state is rebuilt.

    Raises:
        LockedError: the folder is held by another process.
        StorageError: it is damaged, or of another format.
        UnavailableError: Kafka is away.
    """

    def __init__(
        self, parts: MaterializeShared, plan: Plan, partition: int, beat: Callable[[], None] = lambda: None
    ) -> None:
        self.is_owned = True
        self._committable: int | None = None
        self.next_offset = 0
        self._parts = parts
        self._workspace = workspace = plan.workspace
        self._partition = partition
        self._name = f"{updates_topic(workspace)}[{partition}]"
        self._next_check = 0.0
        self._queue: BatchQueue[_Work] = BatchQueue(self, parts.send)
        self._plans = PlanFollower(parts.definitions, self, self._name)
        self._database = PrimaryDatabase.open(
            state_path(parts.data, workspace, partition),
            version_file=version_path(parts.data, workspace, partition),
            resources=parts.resources,
            lock_seconds=0,
        )
        try:
            # What a former owner wrote under a newer plan must not look like what no plan wants.
            parts.definitions.read_to_end(PLAN_SECONDS)
            log = OfflineLog(parts.disk, workspace, partition)
            cut = log.open()
            if cut:
                _log.warning("torn tail of the offline log cut", partition=partition, bytes=cut)
            self._step = MaterializeStep(
                workspace, partition, log, self._database, parts.definitions.views_of(workspace), parts.installation
            )
            self._plan = parts.definitions.plan(workspace) or plan
            self._take_up(self._plan)
            if self._database.rebuilding:
                started = time.monotonic()
                messages = rebuild(self._step, parts.disk, workspace, partition, beat=beat)
                self._database.promote()
                took = round(time.monotonic() - started, 3)
                _log.info("state built from the offline log", partition=partition, messages=messages, seconds=took)
            clock = parts.make_clock(self._database.get(CLOCK))
            self._housekeeping = Housekeeping(self._database, clock, workspace, partition)
        except BaseException:
            self._database.close()
            raise

    @property
    @override
    def waits_for(self) -> str | None:
        return self._queue.waits_for

    @property
    @override
    def committable(self) -> int | None:
        return self._committable

    @override
    def start_offset(self, committed: int | None, earliest: int) -> int | None:
        del committed  # state tells itself how far it has come
        start = self._step.start_offset(earliest)
        begins = begins_at(self._parts.disk, offline_log_folder(self._workspace, self._partition))
        if begins is None and start:
            _log.warning(
                "the offline log is gone and begins anew: what Kafka no longer holds is missing from it",
                workspace=self._workspace,
                partition=self._partition,
                begins=start,
            )
        OFFLINE_LOG_BEGINS.labels(self._workspace, str(self._partition)).set((begins is None and start) or begins or 0)
        return start

    @override
    def close(self) -> None:
        with suppress(KeyError):
            OFFLINE_LOG_BEGINS.remove(self._workspace, str(self._partition))
        self._housekeeping.close()
        self._database.close()

    async def process(self, batch: Batch) -> None:
        """Takes a batch along its way, behind those that waited, or on a tick does a bounded piece of housekeeping.

        Raises:
            StorageError: log or state cannot be written; whoever waits has been told.
        """
        # 1. Hold.
        self._check_in_place()
        # 2. Decode.
        if batch.messages:
            decoded = decode(batch.messages)
            for offset, problem in decoded.others:
                self._pass_over(offset, problem)
            next_offset = (batch.messages[-1].offset() or 0) + 1
            self._queue.append(_Work(decoded.updates, decoded.plan, next_offset, once(batch.done)))
        await self._queue.work_off(self._advance)
        if not batch.messages:
            await self._tick(batch.done)

    async def _advance(self, work: _Work) -> bool:
        """Takes a batch along steps 3 to 5; returns that nothing of it is left."""
        # 3. Follow.
        self._follow(work.plan, work.waited)
        with BATCH_SECONDS.labels(self._workspace, "materialize").time():
            # 4. Write.
            try:
                made = self._step.run(work.updates, work.next_offset)
            except StoreFailedError as failed:
                # Who waits is told before the process ends.
                await self._parts.deliveries.send(failed.acks, work.give_back)
                raise
            # Before the answers are there: log and state have the rows, and an answer that is lost is worth no rewrite.
            self.next_offset = self._committable = work.next_offset
            for message, problem in made.refused:
                self._pass_over(message.offset, problem)
            for (view, outcome), count in made.rows.items():
                ROWS.labels(self._workspace, view, outcome).inc(count)
            for view, count in made.reread.items():
                ROWS_REREAD.labels(self._workspace, view).inc(count)
            # 5. Send.
            await self._parts.deliveries.send(made.acks, work.give_back)
        return True

    async def _tick(self, done: Callable[[], None]) -> None:
        """Keeps house, unless the partition waits for a newer plan: that may want what the one before it has swept."""
        if not self.is_owned or not self._queue.is_empty:
            done()
            return
        self._follow(0, frozenset())
        ended = self._housekeeping.tick(self._plan, time.monotonic())
        done()
        await self._parts.deliveries.send(ended_messages(self._workspace, ended), _nothing)

    def _follow(self, number: int, waited: AbstractSet[str]) -> None:
        newest = self._plans.newest(self._plan, number, waited)
        if newest is not self._plan:
            self._take_up(newest)
            self._plan = newest

    def _take_up(self, plan: Plan) -> None:
        for view in self._step.use(plan):
            STATE_DROPPED.labels(self._workspace, view.key).inc()
            _log.error(
                "state of another view dropped: Kafka gave this view's id out twice, as if it had lost the end of "
                "its topic of definitions; look at what else it may have lost",
                workspace=self._workspace,
                partition=self._partition,
                view=view.key,
                id=view.id,
            )

    def _pass_over(self, offset: int, problem: str) -> None:
        """Tells of a message that is nobody's row: only processors should write here, and they write nothing else."""
        DEAD_LETTERS.labels(self._workspace, "", CodecError.code).inc()
        where = f"{updates_topic(self._workspace)} partition {self._partition} offset {offset}"
        _log.error("not an update, passed over: find out who writes here", message=where, problem=problem)

    def _check_in_place(self) -> None:
        """Looks at the partition's files before a batch, so that a process that was frozen looks before it writes."""
        now = time.monotonic()
        if now >= self._next_check:
            self._next_check = now + CHECK_SECONDS
            self._database.check_in_place()


def _nothing() -> None:
    """Nobody waits for this message: it is sent again while it has not come back."""
