"""One source partition in a running processor: definitions, schemas and the in-flight marker around the pure step.

Invariant: each record is transformed by a plan at least as new as the one that its producer knew.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from confluent_kafka import Message

from infra.definitions import DefinitionsFollower
from infra.disk import Disk
from infra.logs import get_logger
from infra.metrics import BATCH_SECONDS, DEAD_LETTERS, RECORDS
from infra.paths import in_flight_path
from infra.registry import SchemaRegistry
from processors.inflight import InFlight
from processors.intake import Batch
from processors.isolation import transform_isolated, transform_of
from processors.outbox import Outbox
from processors.source_log import SourceLog
from processors.transform_step import TransformStep
from schemas import avro
from schemas.errors import CodecError, UnavailableError
from schemas.plan import Plan
from schemas.topics import source_topic
from schemas.transform import SourceRecord, Transformation
from schemas.updates import PLAN_HEADER, REPLY_HEADER, Reply, plan_of_header

PLAN_SECONDS: Final = 30.0
REGISTRY_SECONDS: Final = 10.0

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TransformParts:
    """What all source partitions of a process share."""

    data: Path
    disk: Disk
    definitions: DefinitionsFollower
    registry: SchemaRegistry
    outbox: Outbox


class TransformPartition:
    """The owner of one source partition (``processors.intake.Owner``).

    Args:
        parts: shared by all partitions.
        workspace: of the source.
        source: its name.
        partition: which partition of its topic.
    """

    def __init__(self, parts: TransformParts, workspace: str, source: str, partition: int) -> None:
        self.open = True
        self.committable: int | None = None
        self.next_offset = 0
        self._parts = parts
        self._workspace = workspace
        self._source = source
        self._texts: dict[int, str | None] = {}
        self._writers: dict[int, avro.ParsedSchema | None] = {}
        self._plan = self._current_plan()
        plan_source = self._plan.sources[source]
        log = SourceLog(parts.disk, workspace, source, partition) if plan_source.log_offline else None
        if log is not None:
            log.open()
        self._step = TransformStep(transform_of(self._plan, source), log)
        self._in_flight = InFlight(in_flight_path(parts.data, source_topic(workspace, source), partition))

    def start_offset(self, committed: int | None) -> int | None:
        """See ``processors.intake.Owner``."""
        return self._step.start_offset(committed)

    def close(self) -> None:
        """See ``processors.intake.Owner``."""
        self._in_flight.close()

    async def process(self, batch: Batch) -> None:
        """Transforms a batch and sends what it became; gives the batch back once all is in Kafka."""
        if not batch.messages or self._let_go():
            batch.done()
            return
        records, plan_number = self._records(batch.messages)
        await self._follow_plan(plan_number)
        await self._resolve(records)
        with BATCH_SECONDS.labels("transform").time():
            if any(self._in_flight.is_suspect(record.offset) for record in records):
                await self._process_suspects(records, batch)
            elif self._let_go():
                batch.done()
            else:
                self._process(records, batch)

    def _let_go(self) -> bool:
        return not self.open

    def _process(self, records: list[SourceRecord], batch: Batch) -> None:
        with self._in_flight.running(records[0].offset, records[-1].offset + 1):
            outcome = self._step.transform(records, self._writers)
        self._finish(records, outcome, batch)

    async def _process_suspects(self, records: list[SourceRecord], batch: Batch) -> None:
        for position, record in enumerate(records):
            if self._let_go():
                batch.done()
                return
            if self._in_flight.must_isolate(record.offset):
                _log.warning("record runs alone", source=self._source, offset=record.offset)
                texts = {i: text for i, text in self._texts.items() if i in self._ids([record])}
                outcome = await transform_isolated(self._step.current, record, texts)
            else:
                with self._in_flight.running(record.offset, record.offset + 1):
                    outcome = self._step.transform([record], self._writers)
            last = position == len(records) - 1
            self._finish([record], outcome, batch if last else Batch(self, [], lambda: None))

    def _finish(self, records: list[SourceRecord], outcome: Transformation, batch: Batch) -> None:
        messages = self._step.finish(records, outcome, self._writers)
        self.next_offset = records[-1].offset + 1
        after = self.next_offset
        RECORDS.labels(self._source, "transformed").inc(len(records))
        for reject in outcome.rejects:
            DEAD_LETTERS.labels(self._source, reject.code).inc()

        def delivered() -> None:
            self.committable = after
            batch.done()

        self._parts.outbox.send(messages, delivered)

    def _records(self, messages: list[Message]) -> tuple[list[SourceRecord], int]:
        """Returns the records of messages, and the newest plan that their producers knew."""
        newest = 0
        records = []
        for message in messages:
            reply = None
            for name, value in cast("list[tuple[str, bytes]]", message.headers() or ()):
                try:
                    if name == REPLY_HEADER:
                        reply = Reply.of_header(value)
                    elif name == PLAN_HEADER:
                        newest = max(newest, plan_of_header(value))
                except CodecError as error:
                    _log.warning("header ignored", source=self._source, offset=message.offset(), problem=str(error))
            _, append_time = message.timestamp()
            records.append(
                SourceRecord(
                    message.partition() or 0, message.offset() or 0, append_time, message.value() or b"", reply
                )
            )
        return records, newest

    def _current_plan(self) -> Plan:
        plan = self._parts.definitions.plan(self._workspace)
        if plan is None or self._source not in plan.sources:
            raise UnavailableError(f"source {self._source!r} is no longer part of workspace {self._workspace!r}")
        return plan

    async def _follow_plan(self, number: int) -> None:
        """Takes up the newest plan; waits for it if a record was made under a newer one than is here."""
        definitions = self._parts.definitions
        plan = definitions.plan(self._workspace)
        if plan is None or plan.number < number:
            plan = await asyncio.to_thread(definitions.wait_for, self._workspace, number, PLAN_SECONDS)
        if plan.number != self._plan.number and self._source in plan.sources:
            self._step.use(transform_of(plan, self._source))
            self._plan = plan

    async def _resolve(self, records: list[SourceRecord]) -> None:
        """Looks up the schemas that records name; an id counts as unknown once the registry was read to its end."""
        unknown = self._ids(records) - self._writers.keys()
        unknown |= {schema_id for schema_id in self._ids(records) if self._writers.get(schema_id) is None}
        unknown.discard(self._plan.sources[self._source].schema_id)
        if not unknown:
            return
        registry = self._parts.registry
        if any(registry.schema_by_id(schema_id) is None for schema_id in unknown):
            await asyncio.to_thread(registry.read_to_end, REGISTRY_SECONDS)
        for schema_id in unknown:
            text = registry.schema_by_id(schema_id)
            self._texts[schema_id] = text
            self._writers[schema_id] = None if text is None else avro.parse(text)

    @staticmethod
    def _ids(records: list[SourceRecord]) -> set[int]:
        prefixes = {record.value[: avro.PREFIX_BYTES] for record in records}
        return {
            int.from_bytes(prefix[1:], "big")
            for prefix in prefixes
            if len(prefix) == avro.PREFIX_BYTES and prefix[:1] == avro.MAGIC
        }
