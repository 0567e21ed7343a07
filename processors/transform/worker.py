"""One source partition in a running processor, the way of its batches put together.

Invariant: each record is transformed by a plan at least as new as the one that its producer knew, by one process at a
time: the partition's lock is held from ``__init__`` to ``close``, also by a process that is stopped and does not know
that another one took over.

The way of a batch, of a partition that is this process's (``processors.consumer.faust_channels.process``):

1. Hold: the lock's file is still in its place.
2. Decode: messages become records (``decode``).
3. Follow: the newest plan is taken up, its code loaded (``follow``).
4. Look up: the schemas that the records name are found (``writer_schemas``).
5. Run: as many records as a moment allows become rows, rejects and answers (``processors.execution.runner``).
6. Log: the source log gets these records (``step``).
7. Send: what they became goes to Kafka. Once all of it is there, the offset behind them may be committed, and with the
   last of them the batch is given back (``processors.producer``).

3 to 7 are gone through again until no record is left. A step of 3 to 5 that needs what is not here yet has done
nothing: the partition waits (``processors.consumer.batch_queue``), then the batch goes on at 3.
"""

from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typing_extensions import override

from infra.kafka.definitions import DefinitionsLog
from infra.kafka.schema_registry import SchemaRegistry
from infra.metrics import BATCH_SECONDS, DEAD_LETTERS, RECORDS, VIEW_RECORDS
from infra.paths import in_flight_path
from infra.process.file_lock import FileLock, kept_elsewhere
from infra.segments.disk import Disk
from processors.consumer.batch_queue import BatchQueue
from processors.consumer.batches import Batch, PartitionWorker, once
from processors.consumer.plans import PlanFollower
from processors.execution.functions import ViewFunctions
from processors.execution.runner import Executable, Runner
from processors.logs.source_log import SourceLog
from processors.producer.delivery import DeliveryTracker
from processors.producer.sender import DeliveryProducer
from processors.transform.dead_letter_log import DeadLetterLog
from processors.transform.decode import decode
from processors.transform.follow import SourceFollower
from processors.transform.step import Writers, finish, start_offset
from processors.transform.writer_schemas import WriterSchemas
from schemas.definitions.plan import Plan, SourcePlan
from schemas.errors import StorageError
from schemas.messages.updates import DROPPED, FAILED
from schemas.records.transform import SourceRecord, Transformation
from schemas.topics import source_topic


@dataclass(frozen=True, slots=True)
class TransformShared:
    """What all source partitions of a process share.

    ``isolation_seconds``: that a record may take which runs alone. ``installation``: whose callers are answered.
    ``send``: puts a batch on the partitions' channel. ``dead_letters``: has the log tell of them.
    """

    data: Path
    disk: Disk
    definitions: DefinitionsLog
    registry: SchemaRegistry
    deliveries: DeliveryProducer
    isolation_seconds: float
    installation: str
    functions: ViewFunctions
    send: Callable[[Batch], Coroutine[Any, Any, None]]
    dead_letters: DeadLetterLog = field(default_factory=DeadLetterLog)


@dataclass(slots=True)
class _Work:
    """What is left of a batch (``processors.consumer.batch_queue.Work``).

    ``plan``: the newest that its producers knew. ``writers``: of these records under ``executable``.
    """

    records: list[SourceRecord]
    plan: int
    give_back: Callable[[], None]
    waited: set[str] = field(default_factory=set)
    executable: Executable | None = None
    writers: Writers = field(default_factory=dict)


class TransformWorker(PartitionWorker):
    """The owner of one source partition.

    Args:
        parts: shared by all partitions.
        plan: of the source's workspace.
        source: its name.
        partition: which partition of its topic.

    Raises:
        LockedError: another process keeps the partition.
        StorageError: its log is damaged.
    """

    def __init__(self, parts: TransformShared, plan: Plan, source: str, partition: int) -> None:
        self.is_owned = True
        self.next_offset = 0
        self._parts = parts
        self._workspace = plan.workspace
        self._source = source
        self._partition = partition
        topic = source_topic(plan.workspace, source)
        self._name = f"{topic}[{partition}]"
        self._queue: BatchQueue[_Work] = BatchQueue(self, parts.send)
        self._delivered = DeliveryTracker()
        self._schemas = WriterSchemas(parts.registry, self, self._name)
        marker = in_flight_path(parts.data, topic, partition)
        with ExitStack() as opened:
            self._lock = _locked(marker.with_name(f"{marker.name}.lock"))
            opened.callback(self._lock.release)
            self._runner = Runner(
                marker,
                self._name,
                parts.functions,
                self._schemas.texts,
                isolation_seconds=parts.isolation_seconds,
            )
            opened.callback(self._runner.close)
            self._log: SourceLog | None = None
            self._log = self._log_of(plan.read_sources()[source])
            self._close = opened.pop_all().close
        self._follower = SourceFollower(PlanFollower(parts.definitions, self, self._name), self._runner, plan, source)

    @property
    @override
    def waits_for(self) -> str | None:
        return self._queue.waits_for

    @property
    @override
    def committable(self) -> int | None:
        return self._delivered.offset

    @override
    def start_offset(self, committed: int | None, earliest: int) -> int | None:
        del earliest  # what Kafka holds no longer of a source is passed over
        return start_offset(self._log, committed)

    @override
    def close(self) -> None:
        self._close()

    async def process(self, batch: Batch) -> None:
        """Takes a batch along its way, behind those that are left of former ones.

        Raises:
            StorageError: the source log cannot be written, or another process can take the partition.
        """
        # 1. Hold: before each batch, so that a process that was frozen looks before it runs or sends anything.
        if not self._lock.in_place():
            raise StorageError(
                f"the lock of {self._name}, beside its file in the data folder's "
                "`inflight`, was removed or replaced while in use; nothing is lost: the next start goes on"
            )
        # 2. Decode; a tick has nothing to decode, and lets a partition whose wait is over go on.
        if batch.messages:
            decoded = decode(batch.messages, self._parts.installation)
            self._queue.append(_Work(decoded.records, decoded.plan, once(batch.done)))
        else:
            self._parts.dead_letters.tell()
            batch.done()
        await self._queue.work_off(self._advance)

    async def _advance(self, work: _Work) -> bool:
        """Takes the next records of a batch along steps 3 to 7; returns whether they were the last."""
        # 3. Follow.
        executable = self._follower.follow(work.plan, work.waited)
        transform = executable.transform
        # 4. Look up: anew for each plan, as the source's own schema may be another one now.
        if work.executable is not executable:
            work.writers = self._schemas.of(work.records, transform.source.schema_id, work.waited)
            work.executable = executable
        with BATCH_SECONDS.labels(self._workspace, "transform").time():
            # 5. Run.
            records = self._runner.take(work.records)
            outcome = self._runner.run(executable, records, work.writers)
            # 6. Log.
            messages = finish(transform, self._log_of(transform.source), records, outcome, work.writers)
            work.records = work.records[len(records) :]
            self.next_offset = records[-1].offset + 1
            self._count(records, outcome)
            # 7. Send. Noted as expected before anything is sent: a later batch may be delivered before this one.
            then = _nothing if work.records else work.give_back
            await self._parts.deliveries.send(messages, self._delivered.expect(self.next_offset, then))
        return not work.records

    def _count(self, records: Sequence[SourceRecord], outcome: Transformation) -> None:
        RECORDS.labels(self._workspace, self._source, "transformed").inc(len(records))
        for view, count in outcome.dropped.items():
            VIEW_RECORDS.labels(self._workspace, view, DROPPED).inc(count)
        for reject in outcome.rejects:
            DEAD_LETTERS.labels(self._workspace, self._source, reject.problems[0].code).inc()
            for problem in reject.problems:
                if problem.view:
                    VIEW_RECORDS.labels(self._workspace, problem.view, FAILED).inc()
        self._parts.dead_letters.take(self._workspace, self._source, outcome.rejects)

    def _log_of(self, source: SourcePlan) -> SourceLog | None:
        """Returns the open log of the partition; None where the plan does not have the source logged."""
        if not source.log_offline:
            return None
        if self._log is None:
            log = SourceLog(self._parts.disk, self._workspace, source.name, self._partition)
            log.open()
            self._log = log
        return self._log


def _locked(path: Path) -> FileLock:
    lock = FileLock(path)
    try:
        held = lock.acquire(timeout=0)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}; free space or correct its permissions") from error
    if not held:
        raise kept_elsewhere(str(path))
    return lock


def _nothing() -> None:
    """The batch has records left."""
