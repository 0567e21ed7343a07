"""Running the functions of views on the records of one source partition: the one door to users' code.

Invariant: whatever a record does to a function, the records around it are processed, and it is itself in the end. No
module of a plan runs here that a child process did not survive, and no record that was alone here at a death.

How a record is found that kills:

1. Records run together, as many as take ``batch_size.STEP_SECONDS``, marked in a file (``in_flight``).
2. The process dies, and the next one finds the mark: these records run one by one.
3. It dies once more, with one record marked: that one runs in a child process (``isolation``) whenever it is read.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path

from infra.logs import get_logger
from processors.execution.batch_size import BatchSizer
from processors.execution.functions import PlanFunctions, ViewFunctions
from processors.execution.in_flight import InFlight
from processors.execution.isolation import transform_isolated
from processors.waiting import NotHereError
from schemas.avro import schema as avro
from schemas.definitions.plan import Plan
from schemas.records.transform import SourceRecord, SourceTransform, Transformation

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Executable:
    """What the records of a source go through under one plan, as far as its code loads here.

    Attributes:
        transform: with the views' functions.
        functions: these, and the code that they are from.
    """

    transform: SourceTransform
    functions: PlanFunctions


class Runner:
    """For use in one event loop.

    Args:
        marker: path of the file that says what was in flight.
        partition: its name, for messages.
        functions: of all plans.
        texts: returns the texts of the schemas that a record names, by id; None where there is none.
        isolation_seconds: that a record may take which runs alone.
        clock: tells running time in seconds.

    Raises:
        StorageError: the file cannot be made or mapped.
    """

    def __init__(
        self,
        marker: Path,
        partition: str,
        functions: ViewFunctions,
        texts: Callable[[SourceRecord], Mapping[int, str | None]],
        *,
        isolation_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._in_flight = InFlight(marker)
        self._partition = partition
        self._functions = functions
        self._texts = texts
        self._isolation_seconds = isolation_seconds
        self._clock = clock
        self._sizer = BatchSizer()
        self._executable: Executable | None = None
        self._alone: tuple[int, Transformation] | None = None  # what the record at an offset became in its own process

    def prepare(self, plan: Plan, source: str) -> Executable:
        """Returns what a source's records go through; the same object as before as long as nothing has changed.

        Raises:
            NotHereError: the plan's code is being loaded.
        """
        functions = self._functions.of(plan)
        if functions is None:
            what = f"the code of plan {plan.number} for {self._partition}"
            raise NotHereError(what, partial(self._functions.loaded, plan))
        known = self._executable
        if known is None or known.functions is not functions or known.transform.plan is not plan:
            planned = plan.read_sources()[source]
            transform = SourceTransform(plan, planned, functions.functions, functions.failed)
            known = self._executable = Executable(transform, functions)
        return known

    def take(self, left: Sequence[SourceRecord]) -> Sequence[SourceRecord]:
        """Returns the records to run next, at least one: one alone if it was in flight at a death."""
        is_suspect = self._in_flight.is_suspect
        fitting = left[: self._sizer.records]
        return list(takewhile(lambda record: not is_suspect(record.offset), fitting)) or left[:1]

    def run(
        self,
        executable: Executable,
        records: Sequence[SourceRecord],
        writers: Mapping[int, avro.ParsedSchema | None],
    ) -> Transformation:
        """Returns what records become.

        Args:
            executable: from ``prepare``.
            records: from ``take``.
            writers: see ``schemas.records.transform.SourceTransform``.

        Raises:
            NotHereError: the record runs alone, and has not come to an end.
        """
        first, end = records[0].offset, records[-1].offset + 1
        if self._in_flight.must_isolate(first):
            return self._isolated(executable, records[0])
        started = self._clock()
        # The mark stays where the process dies in here, or what is raised ends it: the next one must know what it was.
        with self._in_flight.running(first, end):
            outcome = executable.transform(records, writers)
        self._sizer.took(len(records), self._clock() - started)
        return outcome

    def close(self) -> None:
        """Unmaps the marker's file."""
        self._in_flight.close()

    def _isolated(self, executable: Executable, record: SourceRecord) -> Transformation:
        alone, self._alone = self._alone, None
        if alone is not None and alone[0] == record.offset:
            return alone[1]
        _log.warning("record runs alone", partition=self._partition, offset=record.offset)
        what = f"the record at offset {record.offset} of {self._partition}, which runs alone"
        raise NotHereError(what, partial(self._run_alone, executable, record))

    async def _run_alone(self, executable: Executable, record: SourceRecord) -> None:
        code, texts = executable.functions.code, self._texts(record)
        outcome = await transform_isolated(
            executable.transform, code, record, texts, time_limit=self._isolation_seconds
        )
        self._alone = (record.offset, outcome)
