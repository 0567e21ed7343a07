"""One source partition in a running processor: definitions, schemas and the in-flight marker around the pure step.

Invariant: each record is transformed by a plan at least as new as the one that its producer knew, by one process at a
time: the partition's lock is held from ``__init__`` to ``close``, also by a process that is stopped and does not know
that another one took over.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from infra.kafka.definitions import DefinitionsLog
from infra.kafka.schema_registry import SchemaRegistry
from infra.logs import get_logger
from infra.metrics import BATCH_SECONDS, DEAD_LETTERS, RECORDS
from infra.paths import in_flight_path
from infra.process.file_lock import FileLock
from infra.segments.disk import Disk
from processors.consumer.availability import until_available
from processors.consumer.batches import Batch
from processors.execution.batch_size import BatchSizer
from processors.execution.functions import PlanFunctions, ViewFunctions
from processors.execution.in_flight import InFlight
from processors.execution.isolation import transform_isolated
from processors.logs.source_log import SourceLog
from processors.producer.delivery import DeliveryTracker
from processors.producer.sender import DeliveryProducer
from processors.transform.source_records import source_records
from processors.transform.step import Writers, finish, start_offset
from processors.transform.writer_schemas import WriterSchemas, ids_of
from schemas.definitions.plan import Plan, SourcePlan
from schemas.errors import LockedError, StorageError
from schemas.records.transform import SourceRecord, SourceTransform, Transformation
from schemas.topics import source_topic

PLAN_SECONDS: Final = 5.0

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TransformShared:
    """What all source partitions of a process share.

    ``isolation_seconds``: that a record may take which runs alone. ``installation``: whose callers are answered.
    ``send``: puts a batch on the partitions' channel.
    """

    data: Path
    disk: Disk
    definitions: DefinitionsLog
    registry: SchemaRegistry
    outbox: DeliveryProducer
    isolation_seconds: float
    installation: str
    functions: ViewFunctions
    send: Callable[[Batch], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class _Work:
    """What is left of a batch.

    ``plan``: the newest that its producers knew, 0 once it was looked for. ``done``: gives the batch back; None if that
    was done. ``schemas_read``: whether the registry was read to its end for it. ``writers``: None until they are known.
    """

    records: list[SourceRecord]
    plan: int
    done: Callable[[], None] | None
    schemas_read: bool = False
    writers: Writers | None = None

    def give_back(self) -> None:
        done, self.done = self.done, None
        if done is not None:
            done()


class TransformWorker:
    """The owner of one source partition (``processors.consumer.batches.PartitionWorker``).

    Its batches are worked off in order. When one needs what is not here yet (a plan, a schema, the code of a plan, what
    a record becomes in a process of its own), the partition waits in a task, with what it has, and no other partition
    does.

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
        self.waits_for: str | None = None
        self._parts = parts
        self._source = source
        self._partition = partition
        self._plan = plan
        self._functions: PlanFunctions | None = None
        self._transform: SourceTransform | None = None
        self._work: deque[_Work] = deque()
        self._waiting: asyncio.Task[None] | None = None
        self._turn: asyncio.Task[None] | None = None  # a task that nobody holds may be collected before it has run
        self._alone: tuple[int, Transformation] | None = None  # what the record at an offset became in its own process
        self._delivered = DeliveryTracker()
        self._pace = BatchSizer()
        self._schemas = WriterSchemas(parts.registry)
        self._topic = source_topic(plan.workspace, source)
        path = in_flight_path(parts.data, self._topic, partition)
        self._lock = _locked(path.with_name(f"{path.name}.lock"))
        try:
            self._in_flight = InFlight(path)
            self._log: SourceLog | None = None
            self._log = self._log_of(plan.read_sources()[source])
        except BaseException:
            self._lock.release()
            raise

    @property
    def committable(self) -> int | None:
        """See ``processors.consumer.batches.PartitionWorker``."""
        return self._delivered.offset

    def start_offset(self, committed: int | None, earliest: int) -> int | None:
        """See ``processors.consumer.batches.PartitionWorker``; what Kafka holds no longer is passed over."""
        del earliest
        return start_offset(self._log, committed)

    def close(self) -> None:
        """See ``processors.consumer.batches.PartitionWorker``."""
        self._in_flight.close()
        self._lock.release()

    async def process(self, batch: Batch) -> None:
        """Transforms a batch, some records at a time, and sends what they became.

        The batch is given back once all of it is in Kafka, or at once if the partition waits or was let go.

        Raises:
            StorageError: the source log cannot be written, or another process can take the partition.
        """
        if self.is_owned and not self._lock.in_place():
            raise StorageError(
                f"the lock of {self._topic} partition {self._partition}, beside its file in the data folder's "
                "`inflight`, was removed or replaced while in use; nothing is lost: the next start goes on"
            )
        if batch.messages:
            self._work.append(_Work(*source_records(batch.messages, self._parts.installation), batch.done))
        else:
            batch.done()
        if self._waiting is not None and self._waiting.done():
            ended, self._waiting = self._waiting, None
            ended.result()  # raises what it met
        while self._work and self.is_owned and self._waiting is None:
            await self._step_on(self._work[0])
            if self._work and not self._work[0].records:
                self._work.popleft()
        for work in self._work:
            work.give_back()
        if not self.is_owned:
            self._work.clear()

    async def _step_on(self, work: _Work) -> None:
        """Transforms the next records of a batch, or begins to wait for what they need."""
        transform = self._prepared(work)
        if transform is None or work.writers is None:
            return
        taken = self._next(work.records)
        with BATCH_SECONDS.labels("transform").time():
            outcome = self._outcome(transform, taken, work.writers)
            if outcome is None:
                return
            work.records = work.records[len(taken) :]
            done, work.done = (work.done, None) if not work.records else (None, work.done)
            await self._finish(transform, taken, outcome, work.writers, done)
        await asyncio.sleep(0)  # others get their turn: who lets partitions go, who asks for health

    def _prepared(self, work: _Work) -> SourceTransform | None:
        """Takes up the newest plan and finds the batch's schemas; None if it has begun to wait for one of them."""
        definitions, workspace = self._parts.definitions, self._plan.workspace
        newest = definitions.plan(workspace) or self._plan
        if work.plan > newest.number:
            number, work.plan = work.plan, 0  # once the topic was read to its end, it is here or was made up
            what = f"plan {number} for {self._topic}"
            self._wait(what, until_available(self, partial(definitions.read_to, workspace, number, PLAN_SECONDS), what))
            return None
        # Of a source that was removed, what is on its way still counts.
        plan = newest if self._source in newest.read_sources() else self._plan
        transform = self._transform
        if transform is None or plan is newest:
            functions = self._parts.functions.of(plan)
            if functions is None:
                self._wait(f"the code of plan {plan.number} for {self._topic}", self._parts.functions.loaded(plan))
                return None
            if transform is None or functions is not self._functions or plan is not self._plan:
                transform = self._take_up(plan, functions)
                work.writers, work.schemas_read = None, False  # the source's own schema may be another one now
        if work.writers is None:
            ids = ids_of(record.value for record in work.records) - {transform.source.schema_id}
            known = self._schemas.known(ids)
            if len(known) < len(ids) and not work.schemas_read:
                work.schemas_read = True
                what = f"schemas {sorted(ids - known.keys())} for {self._topic}"
                self._wait(what, until_available(self, self._schemas.read, what))
                return None
            work.writers = {schema_id: known.get(schema_id) for schema_id in ids}
        return transform

    def _take_up(self, plan: Plan, functions: PlanFunctions) -> SourceTransform:
        source = plan.read_sources()[self._source]
        self._log = self._log_of(source)
        transform = SourceTransform(plan, source, functions.functions, functions.failed)
        self._plan, self._functions, self._transform = plan, functions, transform
        return transform

    def _wait(self, what: str, until: Coroutine[Any, Any, None]) -> None:
        """Has the partition wait, and nothing else; when it is over, the partition takes a turn on its channel."""
        self.waits_for = what
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_task(until)

        def over(_task: object) -> None:
            self.waits_for = None
            self._turn = loop.create_task(self._parts.send(Batch(self, [], lambda: None)))

        self._waiting.add_done_callback(over)

    def _next(self, left: list[SourceRecord]) -> list[SourceRecord]:
        """Returns the records to take next: one alone if it was in flight at a death."""
        is_suspect = self._in_flight.is_suspect
        fitting = left[: self._pace.records]
        return list(takewhile(lambda record: not is_suspect(record.offset), fitting)) or left[:1]

    def _outcome(
        self, transform: SourceTransform, records: list[SourceRecord], writers: Writers
    ) -> Transformation | None:
        """Returns what records become; None if the partition has begun to wait for that."""
        first, end = records[0].offset, records[-1].offset + 1
        if self._in_flight.must_isolate(first):
            return self._isolated(transform, records[0], writers)
        started = time.monotonic()
        with self._in_flight.running(first, end):
            outcome = transform(records, writers)
        self._pace.took(len(records), time.monotonic() - started)
        return outcome

    def _isolated(self, transform: SourceTransform, record: SourceRecord, writers: Writers) -> Transformation | None:
        if self._alone is not None and self._alone[0] == record.offset:
            outcome, self._alone = self._alone[1], None
            return outcome
        _log.warning("record runs alone", topic=self._topic, partition=self._partition, offset=record.offset)
        texts = self._schemas.texts(writers.keys() & ids_of([record.value]))
        code = () if self._functions is None else self._functions.code

        async def run() -> None:
            limit = self._parts.isolation_seconds
            outcome = await transform_isolated(transform, code, record, texts, time_limit=limit)
            self._alone = (record.offset, outcome)

        self._wait(f"the record at offset {record.offset} of {self._topic}, which runs alone", run())
        return None

    async def _finish(
        self,
        transform: SourceTransform,
        records: list[SourceRecord],
        outcome: Transformation,
        writers: Writers,
        done: Callable[[], None] | None,
    ) -> None:
        messages = finish(transform, self._log, records, outcome, writers)
        self.next_offset = records[-1].offset + 1
        RECORDS.labels(self._plan.workspace, self._source, "transformed").inc(len(records))
        for reject in outcome.rejects:
            DEAD_LETTERS.labels(self._plan.workspace, self._source, reject.problems[0].code).inc()
        arrived = self._delivered.expect(self.next_offset)

        def delivered() -> None:
            arrived()
            if done is not None:
                done()

        await self._parts.outbox.send(messages, delivered)

    def _log_of(self, source: SourcePlan) -> SourceLog | None:
        """Returns the open log of the partition; None where the source is not logged."""
        if not source.log_offline:
            return None
        if self._log is None:
            self._log = SourceLog(self._parts.disk, self._plan.workspace, source.name, self._partition)
            self._log.open()
        return self._log


def _locked(path: Path) -> FileLock:
    lock = FileLock(path)
    try:
        held = lock.acquire(timeout=0)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}; free space or correct its permissions") from error
    if not held:
        raise LockedError(
            f"{path}: another process keeps it locked: look for another `headrace "
            "processor` on this host with the same data folder, perhaps a stopped one, and end it"
        )
    return lock
