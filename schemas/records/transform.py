"""From source records to rows, rejects and answers: the first fold of the pipeline, without I/O.

Invariant: the outcome is a function of the plan, of which of its views load here, and of the records. Each view of each
record ends as rows, as a drop that the view's function chose, or as a problem of the record's reject. A record has at
most one reject, whoever sent it and whether or not someone waits for an answer. None vanishes.
"""

import traceback
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from types import FunctionType, MappingProxyType
from typing import Any, Final, NamedTuple, cast

from schemas.avro import schema as avro
from schemas.avro import wire
from schemas.definitions.plan import Plan, SourcePlan, ViewPlan
from schemas.errors import FUNCTION_FAILED, MALFORMED, UNKNOWN_SCHEMA, VIEW_FAILED, CodecError, RecordError
from schemas.limits import MAX_PROBLEM_CHARACTERS, MAX_ROW_BYTES, MAX_ROWS_BYTES, MAX_ROWS_PER_RECORD
from schemas.messages.updates import (
    MESSAGE_FORMAT,
    Ack,
    ReplyAddress,
    Row,
    Transformed,
    Update,
    Waiting,
    encode,
    encode_update,
)
from schemas.records.rows import BuiltRow, compile_row_builder
from schemas.state.keys import partition_of
from schemas.types import Scalar

MAX_UPDATE_BYTES: Final = 256 * 1024
"""At which a message is closed; one record's rows are never split, so it may end above."""

ROW_BYTES: Final = 64
"""Of a row besides key, event time and values."""


NOTHING_FAILED: Final[Mapping[str, str]] = MappingProxyType({})

ViewFunction = Callable[[dict[str, Any]], Any]
Copy = Callable[[dict[str, Any]], dict[str, Any]]


class SourceRecord(NamedTuple):
    """One message of a source topic; ``append_time`` in ms since the epoch, as Kafka gave it."""

    partition: int
    offset: int
    append_time: int
    value: bytes  # empty for a null message
    reply: ReplyAddress | None


class Problem(NamedTuple):
    """Why a view has no rows of a record; ``view`` is the view's key, empty where no view could see the record."""

    view: str
    code: str
    message: str


class Reject(NamedTuple):
    """A record that goes to the dead letters, and the problems that it met: one for each view that failed."""

    record: SourceRecord
    problems: tuple[Problem, ...]

    @property
    def is_unseen(self) -> bool:
        """Whether no view could see the record."""
        return not self.problems[0].view


@dataclass(slots=True)
class Transformation:
    """What a batch became: update messages with their partition, rejects, and answers by reply partition.

    ``dropped``: by view key, of how many records the view's function made no row.
    """

    updates: list[tuple[int, bytes]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    acks: dict[int, list[Ack]] = field(default_factory=dict)
    rows: int = 0
    dropped: dict[str, int] = field(default_factory=dict)


class _Packer:
    """Collects rows into update messages, and closes a message that has grown enough.

    One message per view and partition; rows that someone waits for and rows that nobody waits for travel apart, so that
    it can be told which rows are whose (``rows_by_waiting``).
    """

    def __init__(self, plan: Plan, source_partition: int, out: list[tuple[int, bytes]]) -> None:
        self._plan = plan
        self._source_partition = source_partition
        self._out = out
        self._open: dict[tuple[int, int, bool], tuple[list[Row], list[Waiting]]] = {}
        self._sizes: dict[tuple[int, int, bool], int] = {}

    def add(self, record: SourceRecord, view: ViewPlan, built: list[BuiltRow], size: int) -> list[tuple[int, int, int]]:
        """Takes the rows of one record; returns (view id, updates partition, rows) for each partition they go to."""
        counts: dict[int, int] = {}
        waits = record.reply is not None
        for index, (key, event_time, values) in enumerate(built):
            partition = partition_of(key, self._plan.partitions)
            counts[partition] = counts.get(partition, 0) + 1
            target = (view.id, partition, waits)
            collected = self._open.get(target)
            if collected is None:
                collected = self._open[target] = ([], [])
                self._sizes[target] = 0
            collected[0].append(Row(key, event_time, record.append_time, record.offset, index, values))
        for partition, count in counts.items():
            target = (view.id, partition, waits)
            if record.reply is not None:
                self._open[target][1].append(Waiting(record.reply, count))
            self._sizes[target] += size + count * ROW_BYTES  # the size of all rows: simple, and never too low
            if self._sizes[target] > MAX_UPDATE_BYTES:
                self._close(target, *self._open.pop(target))
        return [(view.id, partition, count) for partition, count in counts.items()]

    def close(self) -> None:
        """Closes the messages that are still open."""
        for target, collected in self._open.items():
            self._close(target, *collected)

    def _close(self, target: tuple[int, int, bool], rows: list[Row], waiting: list[Waiting]) -> None:
        view, partition, _ = target
        update = Update(MESSAGE_FORMAT, self._plan.number, view, self._source_partition, rows, waiting)
        self._out.append((partition, encode_update(update)))


class SourceTransform:
    """The compiled transform of one source under one plan.

    Args:
        plan: the plan.
        source: one of its sources.
        functions: the function of each view that loads here, by view key.
        failed: why the others do not, by view key.
    """

    def __init__(
        self,
        plan: Plan,
        source: SourcePlan,
        functions: Mapping[str, ViewFunction],
        failed: Mapping[str, str] = NOTHING_FAILED,
    ) -> None:
        self.plan = plan
        self.source = source
        self.reader = avro.parse(source.schema)
        # Retired views are folded like all others; the callers that wait for answers name the views they wait for.
        self._all = tuple(view for _, view in sorted(plan.folded_views().items()) if view.source == source.name)
        running = [view for view in self._all if view.key not in failed]
        self._views = [(view, functions[view.key], compile_row_builder(view)) for view in running]
        self.running = frozenset(view.key for view in running)
        self.failed = {view.key: failed[view.key] for view in self._all if view.key in failed}
        self._failed = [
            (view, Problem(view.key, VIEW_FAILED, _storable(failed[view.key])))
            for view in self._all
            if view.key in failed
        ]
        # No view sees what another one's function did to the record; a deep copy takes 10 µs, so only where it must be.
        is_flat = all(isinstance(column.dtype, Scalar) for column in source.columns)
        self._copy: Copy = dict if is_flat or len(self._views) == 1 else deepcopy

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
            problems = self._failed.copy()
            for view, function, build in self._views:
                try:
                    built, size = _rows(function, build, self._copy(decoded))
                except RecordError as error:
                    problems.append((view, Problem(view.key, error.code, _storable(error.message))))
                    continue
                outcome.rows += len(built)
                if not built:
                    outcome.dropped[view.key] = outcome.dropped.get(view.key, 0) + 1
                sent += packer.add(record, view, built, size)
            if problems:
                outcome.rejects.append(Reject(record, tuple(problem for _, problem in problems)))
            _answer(outcome, record, sent, problems)
        packer.close()
        return outcome

    def decode(self, value: bytes, writers: Mapping[int, avro.ParsedSchema | None]) -> dict[str, Any]:
        """Returns a record in the source's schema.

        Raises:
            RecordError: the value is not an Avro record that can be read as one of this source.
        """
        try:
            schema_id = wire.schema_id_of(value)
            if schema_id == self.source.schema_id:
                return wire.unframe(value, self.reader, None)
            writer = writers[schema_id]
            if writer is None:
                raise RecordError(
                    UNKNOWN_SCHEMA,
                    f"schema id {schema_id} is not in the registry; register the schema before producing with it",
                )
            return wire.unframe(value, writer, self.reader)
        except CodecError as error:
            raise RecordError(MALFORMED, error.message) from error

    def refuse(self, record: SourceRecord, code: str, message: str) -> Transformation:
        """Returns what becomes of a record that no view may see."""
        outcome = Transformation()
        self._reject(outcome, record, RecordError(code, message))
        return outcome

    def _reject(self, outcome: Transformation, record: SourceRecord, error: RecordError) -> None:
        problem = Problem("", error.code, _storable(error.message))
        outcome.rejects.append(Reject(record, (problem,)))
        _answer(outcome, record, [], [(view, problem) for view in self._all])


def _answer(
    outcome: Transformation,
    record: SourceRecord,
    sent: list[tuple[int, int, int]],
    problems: list[tuple[ViewPlan, Problem]],
) -> None:
    if record.reply is not None:
        failures = [(view.id, problem.code, problem.message) for view, problem in problems]
        answer = Transformed(record.reply.request, record.reply.index, sent, failures)
        outcome.acks.setdefault(record.reply.partition, []).append(answer)


def _rows(
    function: ViewFunction, build: Callable[[Mapping[str, Any]], BuiltRow], record: dict[str, Any]
) -> tuple[list[BuiltRow], int]:
    """Runs a view's function on one record; returns its rows and their size in bytes.

    Raises:
        RecordError: the function failed, or returned what is not a row of the view.
    """
    try:
        return _built(function(record), build)
    except RecordError as error:  # of the row builder, or the user's own: codes are ours
        raise RecordError(FUNCTION_FAILED, error.message) from error
    except BaseException as error:
        # The function is the user's, and so is what it returns: whatever they raise, SystemExit and KeyboardInterrupt
        # included, is this record's failure alone. Signals do not come as exceptions here.
        raise RecordError(FUNCTION_FAILED, f"{_raised_at(function, error)}{_described(error)}") from error


def _storable(message: str) -> str:
    """Returns the text of a problem as messages can hold it: cut, and without halves of surrogate pairs."""
    return message[:MAX_PROBLEM_CHARACTERS].encode(errors="replace").decode()


def _described(error: BaseException) -> str:
    name = type(error).__name__
    try:
        return f"{name}: {error}"
    except BaseException as broken:  # noqa: BLE001 - the text of a user's exception is made by the user's code
        return f"{name}, whose text cannot be made: {type(broken).__name__}"


def _raised_at(function: ViewFunction, error: BaseException) -> str:
    """Returns the innermost line of the function's repository that an error passed: ``file:line, in name: ``.

    Empty where it passed none, as an error of what the function returned does.
    """
    code = cast("FunctionType", function).__code__  # a view is made of nothing else (``schemas.definitions.code``)
    label, _, _ = code.co_filename.partition("/")  # one for all files of a repository (``repository.load_views``)
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        where, slash, file = frame.f_code.co_filename.partition("/")
        if slash and where == label:
            found = f"{file}:{line}, in {frame.f_code.co_name}: "
    return found


def _built(returned: Any, build: Callable[[Mapping[str, Any]], BuiltRow]) -> tuple[list[BuiltRow], int]:
    if returned is None:
        return [], 0
    if isinstance(returned, (dict, Mapping)):  # the first is the common case; the abstract class costs 0.3 µs more
        returned = (returned,)
    elif not isinstance(returned, list | tuple) or not all(isinstance(row, Mapping) for row in returned):
        raise RecordError(
            FUNCTION_FAILED,
            f"expected a dict, a list of dicts or None, the function returned {type(returned).__name__}",
        )
    if len(returned) > MAX_ROWS_PER_RECORD:
        raise RecordError(
            FUNCTION_FAILED,
            f"expected at most {MAX_ROWS_PER_RECORD:,} rows of one record, the function returned {len(returned):,}",
        )
    rows: list[BuiltRow] = []
    size = 0
    for row in returned:
        rows.append(build(row))
        row_size = len(encode(rows[-1]))
        size += row_size
        if row_size > MAX_ROW_BYTES:
            raise RecordError(
                FUNCTION_FAILED,
                f"expected at most {MAX_ROW_BYTES:,} bytes in a row, the function returned one of {row_size:,}",
            )
        if size > MAX_ROWS_BYTES:
            raise RecordError(
                FUNCTION_FAILED,
                f"expected at most {MAX_ROWS_BYTES:,} bytes in the rows of one record, "
                f"{len(rows):,} of the {len(returned):,} that the function returned have {size:,}",
            )
    return rows, size
