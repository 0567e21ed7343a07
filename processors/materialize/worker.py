"""One updates partition in a running processor: its database and log around the pure step.

Invariant: the folder of the partition is this process's alone from ``__init__`` to ``close``; a batch that was begun is
either in log and state or will be read again.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from confluent_kafka import Message

from infra.database.layout import DatabaseResources
from infra.database.primary import PrimaryDatabase
from infra.kafka.definitions import DefinitionsLog
from infra.logs import get_logger
from infra.metrics import (
    BATCH_SECONDS,
    CLOCK_STEP_HELD_SECONDS,
    DEAD_LETTERS,
    OFFLINE_LOG_BEGINS,
    ROWS,
    ROWS_REREAD,
    STATE_DROPPED,
)
from infra.paths import offline_log_folder, state_path, version_path
from infra.segments.disk import Disk
from infra.segments.log import begins_at
from processors.consumer.batches import Batch
from processors.consumer.plans import PLAN_SECONDS
from processors.logs.offline_log import OfflineLog
from processors.materialize.held_clock import HeldClock
from processors.materialize.rebuild import rebuild
from processors.materialize.retention import FEWEST_KEYS, clocks, next_limit, sweep
from processors.materialize.retirements import Retirements
from processors.materialize.step import MaterializeStep, StoreFailedError
from processors.producer.messages import ended_messages
from processors.producer.sender import DeliveryProducer
from processors.waiting import until_available
from schemas.definitions.plan import Plan, RetiredView
from schemas.errors import CodecError, NewerFormatError, StorageError
from schemas.instants import SECOND
from schemas.messages.updates import UpdateMessage, decode_update
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
    """

    data: Path
    disk: Disk
    definitions: DefinitionsLog
    resources: DatabaseResources
    outbox: DeliveryProducer
    installation: str
    make_clock: Callable[[bytes | None], HeldClock]


class MaterializeWorker:
    """The owner of one updates partition (``processors.consumer.batches.PartitionWorker``).

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
        self.committable: int | None = None
        self.next_offset = 0
        self.waits_for: str | None = None
        self._parts = parts
        self._workspace = workspace = plan.workspace
        self._partition = partition
        self._plan: Plan | None = None
        self._cursor: bytes | None = None
        self._limit = FEWEST_KEYS
        self._holding = False
        self._next_check = 0.0
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
            self._use(parts.definitions.plan(workspace) or plan)
            self._retirements = Retirements(self._database)
            if self._database.rebuilding:
                started = time.monotonic()
                messages = rebuild(self._step, parts.disk, workspace, partition, beat=beat)
                self._database.promote()
                took = round(time.monotonic() - started, 3)
                _log.info("state built from the offline log", partition=partition, messages=messages, seconds=took)
            self._clock = parts.make_clock(self._database.get(CLOCK))
            self._held = CLOCK_STEP_HELD_SECONDS.labels(workspace, str(partition))
        except BaseException:
            self._database.close()
            raise

    def start_offset(self, committed: int | None, earliest: int) -> int | None:
        """See ``processors.consumer.batches.PartitionWorker``; the group's offset does not matter."""
        del committed
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

    def close(self) -> None:
        """See ``processors.consumer.batches.PartitionWorker``."""
        with suppress(KeyError):
            OFFLINE_LOG_BEGINS.remove(self._workspace, str(self._partition))
        CLOCK_STEP_HELD_SECONDS.remove(self._workspace, str(self._partition))
        self._database.close()

    async def process(self, batch: Batch) -> None:
        """Applies a batch, or on a tick does a bounded piece of housekeeping; gives the batch back when done.

        Raises:
            StorageError: log or state cannot be written; whoever waits has been told.
        """
        self._check_in_place()
        messages = self._decoded(batch.messages)
        await self._follow_plan(max((message.update.plan for message in messages), default=0))
        if not self.is_owned:
            batch.done()
        elif not batch.messages:
            self._housekeep()
            ended = self._ended_views()
            batch.done()
            await self._parts.outbox.send(ended_messages(self._workspace, ended), _nothing)
        else:
            next_offset = (batch.messages[-1].offset() or 0) + 1
            with BATCH_SECONDS.labels("materialize").time():
                await self._apply(messages, next_offset, batch.done)

    async def _apply(self, messages: list[UpdateMessage], next_offset: int, done: Callable[[], None]) -> None:
        try:
            made = self._step.run(messages, next_offset)
        except StoreFailedError as failed:
            await self._parts.outbox.send(failed.acks, done)
            raise
        self.next_offset = self.committable = next_offset
        for message, problem in made.refused:
            self._pass_over(message.offset, problem)
        for (view, outcome), count in made.rows.items():
            ROWS.labels(self._workspace, view, outcome).inc(count)
        for view, count in made.reread.items():
            ROWS_REREAD.labels(self._workspace, view).inc(count)
        await self._parts.outbox.send(made.acks, done)

    def _decoded(self, messages: list[Message]) -> list[UpdateMessage]:
        decoded = []
        for message in messages:
            offset = message.offset() or 0
            try:
                decoded.append(UpdateMessage(offset, decode_update(message.value() or b"")))
            except NewerFormatError as error:
                where = f"{message.topic()} partition {message.partition()} offset {offset}"
                raise StorageError(f"{where}: {error}") from error
            except CodecError as error:
                self._pass_over(offset, str(error))
        return decoded

    def _pass_over(self, offset: int, problem: str) -> None:
        """Tells of a message that is nobody's row: only processors should write here, and they write nothing else."""
        topic = updates_topic(self._workspace)
        where = f"{topic} partition {self._partition} offset {offset}"
        DEAD_LETTERS.labels(self._workspace, "", CodecError.code).inc()
        _log.error("not an update, passed over: find out who writes here", message=where, problem=problem)

    async def _follow_plan(self, number: int) -> None:
        definitions, workspace = self._parts.definitions, self._workspace
        known = definitions.plan(workspace) or self._plan
        if known is None or known.number < number:
            read = partial(definitions.read_to, workspace, number, PLAN_SECONDS)
            await until_available(self, read, f"plan {number} for {workspace} partition {self._partition}")
        if self.is_owned:
            self._use(definitions.plan(workspace) or self._plan)

    def _use(self, plan: Plan | None) -> None:
        if plan is not None and plan is not self._plan:
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
            self._plan = plan

    def _check_in_place(self) -> None:
        """Looks at the partition's files before a batch, so that a process that was frozen looks before it writes."""
        now = time.monotonic()
        if now >= self._next_check:
            self._next_check = now + CHECK_SECONDS
            self._database.check_in_place()

    def _ended_views(self) -> list[RetiredView]:
        """Returns the removed views that have been kept for long enough; they end once this process reads it too."""
        retired = {} if self._plan is None else self._plan.retired
        ended = self._retirements.tick(retired, time.monotonic())
        for each in ended:
            _log.info("removed view ends", view=each.view.key, id=each.view.id, partition=self._partition)
        return ended

    def _housekeep(self) -> None:
        self._database.heartbeat()
        now = self._read_clock()
        writes: list[tuple[bytes, bytes | None]] = []
        if (saved := self._clock.to_save()) is not None:
            writes.append((CLOCK, saved))
        if self._plan is not None:
            views = {view.id: view for view in self._plan.folded_views().values()}
            clock_of = clocks(views, self._database, now)
            deletes, self._cursor = sweep(views, clock_of, self._database, self._cursor, self._limit)
            self._limit = next_limit(self._limit, len(deletes))
            writes += [(key, None) for key in deletes]
        if writes:
            self._database.write(writes)

    def _read_clock(self) -> int:
        reading = self._clock.read()
        if (reading.ahead > 0) != self._holding:
            self._holding = reading.ahead > 0
            where = {"workspace": self._workspace, "partition": self._partition}
            if self._holding:
                _log.warning(
                    "the host's clock stepped ahead, or no processor ran for long: until the host has run on for the "
                    "hours of clock_hold_hours, retention goes by the time before the step; if the clock is wrong, "
                    "set it right",
                    ahead_seconds=reading.ahead // SECOND,
                    **where,
                )
            else:
                _log.info("retention follows the host's clock again", **where)
        self._held.set(reading.ahead / SECOND)
        return reading.held


def _nothing() -> None:
    """Nobody waits for this message: it is sent again while it has not come back."""
