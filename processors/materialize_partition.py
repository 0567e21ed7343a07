"""One updates partition in a running processor: its database and log around the pure step.

Invariant: the folder of the partition is this process's alone from ``__init__`` to ``close``; a batch that was begun is
either in log and state or will be read again.
"""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from confluent_kafka import Message as KafkaMessage

from infra.databases import DatabaseResources, PrimaryDatabase
from infra.definitions import DefinitionsFollower
from infra.disk import Disk
from infra.logs import get_logger
from infra.metrics import BATCH_SECONDS, ROWS
from infra.paths import state_path, version_path
from processors.intake import Batch
from processors.materialize import Message
from processors.materialize_step import MaterializeStep, StoreFailedError
from processors.offline_log import OfflineLog
from processors.outbox import Outbox
from processors.rebuild import rebuild
from processors.retention import sweep
from schemas.errors import CodecError, StorageError
from schemas.plan import Plan
from schemas.updates import decode_update

LOCK_SECONDS: Final = 20.0  # for a former owner to let the folder go
PLAN_SECONDS: Final = 30.0
SWEEP_KEYS: Final = 2_000  # looked at per tick: bounded work, about 2 ms

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MaterializeParts:
    """What all updates partitions of a process share."""

    data: Path
    disk: Disk
    definitions: DefinitionsFollower
    resources: DatabaseResources
    outbox: Outbox


class MaterializePartition:
    """The owner of one updates partition (``processors.intake.Owner``).

    Args:
        parts: shared by all partitions.
        workspace: whose updates.
        partition: which partition.

    Raises:
        StorageError: the folder is held by another process, damaged, or of another format.
    """

    def __init__(self, parts: MaterializeParts, workspace: str, partition: int) -> None:
        self.open = True
        self.committable: int | None = None
        self.next_offset = 0
        self._parts = parts
        self._workspace = workspace
        self._partition = partition
        self._plan: Plan | None = None
        self._cursor: bytes | None = None
        self._database = PrimaryDatabase.open(
            state_path(parts.data, workspace, partition),
            version_file=version_path(parts.data, workspace, partition),
            resources=parts.resources,
            lock_deadline=LOCK_SECONDS,
        )
        try:
            log = OfflineLog(parts.disk, workspace, partition)
            cut = log.open()
            if cut:
                _log.warning("torn tail of the offline log cut", partition=partition, bytes=cut)
            self._step = MaterializeStep(workspace, partition, log, self._database, parts.definitions.views)
            self._use(parts.definitions.plan(workspace))
            if self._database.rebuilding:
                started = time.monotonic()
                messages = rebuild(self._step, parts.disk, workspace, partition)
                self._database.promote()
                took = round(time.monotonic() - started, 3)
                _log.info("state built from the offline log", partition=partition, messages=messages, seconds=took)
        except BaseException:
            self._database.close()
            raise

    def start_offset(self, committed: int | None) -> int | None:
        """See ``processors.intake.Owner``; the group's offset does not matter."""
        del committed
        return self._step.start_offset()

    def close(self) -> None:
        """See ``processors.intake.Owner``."""
        self._database.close()

    async def process(self, batch: Batch) -> None:
        """Applies a batch, or on a tick does a bounded piece of housekeeping; gives the batch back when done.

        Raises:
            StorageError: log or state cannot be written; whoever waits has been told.
        """
        if self._let_go():
            batch.done()
            return
        if not batch.messages:
            self._housekeep()
            batch.done()
            return
        messages = self._decoded(batch.messages)
        await self._follow_plan(max((m.update.plan for m in messages), default=0))
        if self._let_go():
            batch.done()
            return
        next_offset = (batch.messages[-1].offset() or 0) + 1
        with BATCH_SECONDS.labels("materialize").time():
            try:
                done = self._step.run(messages, next_offset)
            except StoreFailedError as failed:
                self._parts.outbox.send(failed.acks, batch.done)
                raise
        self.next_offset = self.committable = next_offset
        for (view, outcome), count in done.rows.items():
            ROWS.labels(view, outcome).inc(count)
        self._parts.outbox.send(done.acks, batch.done)

    def _let_go(self) -> bool:
        return not self.open

    def _decoded(self, messages: list[KafkaMessage]) -> list[Message]:
        decoded = []
        for message in messages:
            offset = message.offset() or 0
            try:
                decoded.append(Message(offset, decode_update(message.value() or b"")))
            except CodecError as error:
                # Only processors write here: what does not decode is of a newer version, or nobody's row at all.
                raise StorageError(
                    f"{message.topic()} partition {message.partition()} offset {offset}: {error}; "
                    "upgrade this process, or find out who else writes to this topic"
                ) from error
        return decoded

    async def _follow_plan(self, number: int) -> None:
        definitions = self._parts.definitions
        plan = definitions.plan(self._workspace)
        if plan is None or plan.number < number:
            plan = await asyncio.to_thread(definitions.wait_for, self._workspace, number, PLAN_SECONDS)
        self._use(plan)

    def _use(self, plan: Plan | None) -> None:
        if plan is not None and (self._plan is None or plan.number != self._plan.number):
            self._step.use(plan)
            self._plan = plan

    def _housekeep(self) -> None:
        self._database.heartbeat()
        if self._plan is None:
            return
        views = {view.id: view for view in self._plan.views.values()}
        now = time.time_ns() // 1_000
        deletes, self._cursor = sweep(views, self._database, self._cursor, now, SWEEP_KEYS)
        if deletes:
            self._database.write([(key, None) for key in deletes])
