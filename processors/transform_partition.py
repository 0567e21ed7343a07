"""One source partition in a running processor: definitions, schemas and the in-flight marker around the pure step.

Invariant: each record is transformed by a plan at least as new as the one that its producer knew, by one process at a
time: the partition's lock is held from ``__init__`` to ``close``, also by a process that is stopped and does not know
that another one took over.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Final

from infra.definitions import DefinitionsFollower
from infra.disk import Disk
from infra.file_lock import FileLock
from infra.logs import get_logger
from infra.metrics import BATCH_SECONDS, DEAD_LETTERS, RECORDS
from infra.paths import in_flight_path
from infra.registry import SchemaRegistry
from processors.availability import until_available
from processors.batches import Batch
from processors.delivered import Delivered
from processors.inflight import InFlight
from processors.isolation import transform_isolated
from processors.outbox import Outbox
from processors.pace import Pace
from processors.source_log import SourceLog
from processors.source_records import source_records
from processors.transform_step import TransformStep, Writers
from processors.view_functions import ViewFunctions
from processors.writer_schemas import WriterSchemas, ids_of
from schemas.errors import LockedError, StorageError
from schemas.plan import Plan, SourcePlan
from schemas.topics import source_topic
from schemas.transform import SourceRecord, Transformation

PLAN_SECONDS: Final = 5.0

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TransformParts:
    """What all source partitions of a process share.

    ``isolation_seconds``: that a record may take which runs alone; less than the watchdog's patience. ``installation``:
    whose callers are answered.
    """

    data: Path
    disk: Disk
    definitions: DefinitionsFollower
    registry: SchemaRegistry
    outbox: Outbox
    isolation_seconds: float
    installation: str
    functions: ViewFunctions = field(default_factory=ViewFunctions)


class TransformPartition:
    """The owner of one source partition (``processors.batches.Owner``).

    Args:
        parts: shared by all partitions.
        plan: of the source's workspace.
        source: its name.
        partition: which partition of its topic.

    Raises:
        LockedError: another process keeps the partition.
        StorageError: its log is damaged.
        DefinitionError: the plan's files do not load here as they did at apply.
    """

    def __init__(self, parts: TransformParts, plan: Plan, source: str, partition: int) -> None:
        self.open = True
        self.next_offset = 0
        self._parts = parts
        self._source = source
        self._partition = partition
        self._plan = plan
        self._delivered = Delivered()
        self._pace = Pace()
        self._schemas = WriterSchemas(parts.registry)
        self._topic = source_topic(plan.workspace, source)
        path = in_flight_path(parts.data, self._topic, partition)
        self._lock = _locked(path.with_name(f"{path.name}.lock"))
        try:
            self._in_flight = InFlight(path)
            self._log: SourceLog | None = None
            self._log = self._log_of(plan.read_sources()[source])
            self._step = TransformStep(parts.functions.transform(plan, source), self._log)
        except BaseException:
            self._lock.release()
            raise

    @property
    def committable(self) -> int | None:
        """See ``processors.batches.Owner``."""
        return self._delivered.offset

    def start_offset(self, committed: int | None, earliest: int) -> int | None:
        """See ``processors.batches.Owner``; what Kafka no longer holds of a source is passed over."""
        del earliest
        return self._step.start_offset(committed)

    def close(self) -> None:
        """See ``processors.batches.Owner``."""
        self._in_flight.close()
        self._lock.release()

    async def process(self, batch: Batch) -> None:
        """Transforms a batch, some records at a time, and sends what they became.

        The batch is given back once all of it is in Kafka, or at once if the partition was let go.

        Raises:
            StorageError: the source log cannot be written, or another process can take the partition.
        """
        if not self._lock.in_place():
            raise StorageError(
                f"the lock of {self._topic} partition {self._partition}, beside its file in the data folder's "
                "`inflight`, was removed or replaced while in use; nothing is lost: the next start goes on"
            )
        if not batch.messages:
            batch.done()
            return
        left, plan_number = source_records(batch.messages, self._parts.installation)
        await self._follow_plan(plan_number)
        writers = await self._writers(left)
        while left and self.open:
            taken = self._next(left)
            with BATCH_SECONDS.labels("transform").time():
                outcome = await self._outcome(taken, writers)
                if self.open:
                    left = left[len(taken) :]
                    await self._finish(taken, outcome, writers, None if left else batch.done)
            await asyncio.sleep(0)  # others get their turn: who lets partitions go, who asks for health
        if left:
            batch.done()

    def _next(self, left: list[SourceRecord]) -> list[SourceRecord]:
        """Returns the records to take next: one alone if it was in flight at a death."""
        is_suspect = self._in_flight.is_suspect
        fitting = left[: self._pace.records]
        return list(takewhile(lambda record: not is_suspect(record.offset), fitting)) or left[:1]

    async def _outcome(self, records: list[SourceRecord], writers: Writers) -> Transformation:
        first, end = records[0].offset, records[-1].offset + 1
        if self._in_flight.must_isolate(first):
            _log.warning("record runs alone", topic=self._topic, partition=self._partition, offset=first)
            texts = self._schemas.texts(writers.keys() & ids_of([records[0].value]))
            return await transform_isolated(self._step.current, records[0], texts, self._parts.isolation_seconds)
        started = time.monotonic()
        with self._in_flight.running(first, end):
            outcome = self._step.transform(records, writers)
        self._pace.took(len(records), time.monotonic() - started)
        return outcome

    async def _finish(
        self, records: list[SourceRecord], outcome: Transformation, writers: Writers, done: Callable[[], None] | None
    ) -> None:
        messages = self._step.finish(records, outcome, writers)
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

    async def _follow_plan(self, number: int) -> None:
        """Takes up the newest plan, which is at least the one with this number if there is such a one."""
        definitions, workspace = self._parts.definitions, self._plan.workspace
        if number > (definitions.plan(workspace) or self._plan).number:
            read = partial(definitions.read_to, workspace, number, PLAN_SECONDS)
            await until_available(self, read, f"plan {number} for {self._topic}")
        plan = definitions.plan(workspace)
        if plan is None or plan is self._plan or self._source not in plan.read_sources():
            return  # of a source that was removed, what is on its way still counts
        transform = await asyncio.to_thread(self._parts.functions.transform, plan, self._source)
        if self.open:
            self._log = self._log_of(plan.read_sources()[self._source])
            self._step = TransformStep(transform, self._log)
            self._plan = plan

    async def _writers(self, records: list[SourceRecord]) -> Writers:
        """Returns the schemas that records name by id, other than the source's own."""
        ids = ids_of(record.value for record in records) - {self._step.current.source.schema_id}
        known = self._schemas.known(ids)
        if len(known) < len(ids):
            await until_available(self, self._schemas.read, f"schemas {sorted(ids - known.keys())} for {self._topic}")
            known = self._schemas.known(ids)
        return {schema_id: known.get(schema_id) for schema_id in ids}

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
