"""From source records to rows, rejects and answers: the first fold of the pipeline, without I/O.

Invariant: the outcome is a function of the plan and the records alone; each record ends as rows, as a drop that its
view's function chose, or as a reject. None vanishes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas import avro
from schemas.errors import CodecError, RecordError
from schemas.keys import partition_of
from schemas.plan import Plan, SourcePlan, ViewPlan
from schemas.rows import FUNCTION_FAILED, BuiltRow, compile_row_builder
from schemas.updates import MESSAGE_FORMAT, Ack, Reply, Row, Transformed, Update, Waiting, encode_update

MAX_UPDATE_BYTES = 256 * 1024  # of one message, as estimated from its records
MAX_ROWS_PER_RECORD = 1_000  # that one view may make of one record
ROW_BYTES = 64  # of a row besides its values, for the estimate

MALFORMED = "MALFORMED"
UNKNOWN_SCHEMA = "UNKNOWN_SCHEMA"
FAILED = -1

ViewFunction = Callable[[dict[str, Any]], Any]


class SourceRecord(NamedTuple):
    """One message of a source topic; ``append_time`` in ms since the epoch, as Kafka gave it."""

    partition: int
    offset: int
    append_time: int
    value: bytes  # empty for a null message
    reply: Reply | None


class Reject(NamedTuple):
    """A record, or what one view made of it, that goes to the dead letters; ``view`` is empty for the whole record."""

    record: SourceRecord
    code: str
    message: str
    view: str


@dataclass(slots=True)
class Transformation:
    """What a batch became: update messages with their partition, rejects, and answers by reply partition."""

    updates: list[tuple[int, bytes]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    acks: dict[int, list[Ack]] = field(default_factory=dict)
    rows: int = 0


class _Packer:
    """Collects rows into update messages, one per view and partition, and closes a message that has grown enough."""

    def __init__(self, plan: Plan, source_partition: int, out: list[tuple[int, bytes]]) -> None:
        self._plan = plan
        self._source_partition = source_partition
        self._out = out
        self._open: dict[tuple[int, int], tuple[list[Row], list[Waiting]]] = {}
        self._sizes: dict[tuple[int, int], int] = {}

    def add(self, record: SourceRecord, view: ViewPlan, built: list[BuiltRow]) -> list[tuple[int, int, int]]:
        """Takes the rows of one record; returns (view id, updates partition, rows) for each partition they go to."""
        counts: dict[int, int] = {}
        for index, (key, event_time, values) in enumerate(built):
            partition = partition_of(key, self._plan.partitions)
            counts[partition] = counts.get(partition, 0) + 1
            where = (view.id, partition)
            collected = self._open.get(where)
            if collected is None:
                collected = self._open[where] = ([], [])
                self._sizes[where] = 0
            collected[0].append(Row(key, event_time, record.append_time, record.offset, index, values))
        size = len(record.value) + ROW_BYTES
        for partition, count in counts.items():
            where = (view.id, partition)
            if record.reply is not None:
                self._open[where][1].append(Waiting(record.reply, count))
            self._sizes[where] += count * size
            if self._sizes[where] > MAX_UPDATE_BYTES:
                self._close(where, *self._open.pop(where))
        return [(view.id, partition, count) for partition, count in counts.items()]

    def close(self) -> None:
        """Closes the messages that are still open."""
        for where, collected in self._open.items():
            self._close(where, *collected)

    def _close(self, where: tuple[int, int], rows: list[Row], waiting: list[Waiting]) -> None:
        view, partition = where
        update = Update(MESSAGE_FORMAT, self._plan.number, view, self._source_partition, rows, waiting)
        self._out.append((partition, encode_update(update)))


class SourceTransform:
    """The compiled transform of one source under one plan.

    Args:
        plan: the plan.
        source: one of its sources.
        functions: each view's function, by view key.
    """

    def __init__(self, plan: Plan, source: SourcePlan, functions: Mapping[str, ViewFunction]) -> None:
        self.plan = plan
        self.source = source
        self._reader = avro.parse(source.schema)
        self._views = [(view, functions[view.key], compile_row_builder(view)) for view in plan.views_of(source.name)]

    def __call__(
        self, records: Sequence[SourceRecord], writers: Mapping[int, avro.ParsedSchema | None]
    ) -> Transformation:
        """Transforms a batch.

        Args:
            records: of one source partition, in order.
            writers: the parsed schema of each id that the records carry; None where the registry, read to its end, has
                no such id.
        """
        outcome = Transformation()
        packer = _Packer(self.plan, records[0].partition, outcome.updates)
        for record in records:
            try:
                decoded = self.decode(record.value, writers)
            except RecordError as error:
                self._reject(outcome, record, error)
                continue
            sent: list[tuple[int, int, int]] = []
            failures: list[tuple[int, str]] = []
            for view, function, build in self._views:
                try:
                    built = _rows(function, build, dict(decoded))
                except RecordError as error:
                    failures.append((view.id, error.message))
                    if record.reply is None:
                        outcome.rejects.append(Reject(record, error.record_code, error.message, view.key))
                    continue
                outcome.rows += len(built)
                sent += packer.add(record, view, built)
            _answer(outcome, record, sent, failures)
        packer.close()
        return outcome

    def decode(self, value: bytes, writers: Mapping[int, avro.ParsedSchema | None]) -> Mapping[str, Any]:
        """Returns a record in the source's schema.

        Raises:
            RecordError: the value is not an Avro record that can be read as one of this source.
        """
        try:
            schema_id = avro.schema_id_of(value)
            if schema_id == self.source.schema_id:
                return avro.unframe(value, self._reader, None)
            writer = writers[schema_id]
            if writer is None:
                message = f"schema id {schema_id} is not in the registry; register the schema before producing with it"
                raise RecordError(UNKNOWN_SCHEMA, message)
            return avro.unframe(value, writer, self._reader)
        except CodecError as error:
            raise RecordError(MALFORMED, error.message) from error

    def refuse(self, record: SourceRecord, code: str, message: str) -> Transformation:
        """Returns what becomes of a record that no view may see."""
        outcome = Transformation()
        self._reject(outcome, record, RecordError(code, message))
        return outcome

    def _reject(self, outcome: Transformation, record: SourceRecord, error: RecordError) -> None:
        outcome.rejects.append(Reject(record, error.record_code, error.message, ""))
        _answer(outcome, record, [], [(view.id, error.message) for view, _, _ in self._views])


def _answer(
    outcome: Transformation, record: SourceRecord, sent: list[tuple[int, int, int]], failures: list[tuple[int, str]]
) -> None:
    if record.reply is not None:
        answer = Transformed(record.reply.request, record.reply.index, sent, failures)
        outcome.acks.setdefault(record.reply.partition, []).append(answer)


def _rows(
    function: ViewFunction, build: Callable[[Mapping[str, Any]], BuiltRow], record: dict[str, Any]
) -> list[BuiltRow]:
    """Runs a view's function on one record.

    Raises:
        RecordError: the function failed, or returned what is not a row of the view.
    """
    try:
        returned = function(record)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        # The function is the user's: whatever it raises, SystemExit included, is this record's failure alone.
        raise RecordError(FUNCTION_FAILED, f"{type(error).__name__}: {error}") from error
    if returned is None:
        return []
    if isinstance(returned, Mapping):
        return [build(returned)]
    if not isinstance(returned, list | tuple) or not all(isinstance(row, Mapping) for row in returned):
        problem = f"expected a dict, a list of dicts or None, the function returned {type(returned).__name__}"
        raise RecordError(FUNCTION_FAILED, problem)
    if len(returned) > MAX_ROWS_PER_RECORD:
        problem = f"expected at most {MAX_ROWS_PER_RECORD} rows of one record, the function returned {len(returned)}"
        raise RecordError(FUNCTION_FAILED, problem)
    return [build(row) for row in returned]
