"""What a dialect of ingest is: how it understands a call and writes its answer. The way between is the pipeline's.

Invariant: a dialect knows no Kafka, no clock and no socket; it is plain functions of bytes and values.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ingest_api.ingestion.notices import Notice, notices
from ingest_api.ingestion.pending import Failure
from ingest_api.ingestion.sources import Source, Sources
from schemas.definitions.plan import ViewPlan

Options = TypeVar("Options")

Problem = tuple[str, str]
"""What is wrong with one record: one of the codes of records in `schemas.errors`, and words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestCall(Generic[Options]):
    """A call whose structure is right.

    Attributes:
        records: JSON texts by source, as named by the caller and in its order.
        dry_run: whether records are checked alone.
        workspace: that the body names; None leaves it to the caller's default.
        options: what the dialect wants to know of the call again when it answers.
    """

    records: Mapping[str, Sequence[msgspec.Raw]]
    dry_run: bool
    workspace: str | None = None
    options: Options


@dataclass(frozen=True, slots=True)
class CheckedSource:
    """The records that a call has for one source, checked.

    Attributes:
        source: that is meant; None if there is none.
        total: how many records came.
        frames: the valid ones, encoded, by index.
        errors: what is wrong with the others, by index.
        without_zone: those of the valid ones whose event time has no zone, and is taken as UTC, by index.
    """

    source: Source | None
    total: int
    frames: Mapping[int, bytes]
    errors: Mapping[int, Problem]
    without_zone: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class SourceResult:
    """What became of one source's records.

    Attributes:
        total: how many came.
        errors: what is wrong with those that were refused or lost, by index.
        views: each consuming view and why it failed, or None; in order of name and version.
        source: that they are of; None if there is no such source.
        became: by view key, what became of rows and records (`ingest_api.ingestion.publish_and_wait.BatchOutcome`);
            nothing in a dry run.
        failed: by index of the record, the views that failed on it, by view key, and why.
        without_zone: how many records, neither refused nor lost, have an event time without a zone, taken as UTC.
    """

    total: int
    errors: Mapping[int, Problem]
    views: Sequence[tuple[ViewPlan, Failure | None]]
    source: Source | None = None
    became: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    failed: Mapping[int, Mapping[str, Failure]] = field(default_factory=dict)
    without_zone: int = 0

    @property
    def notices(self) -> tuple[Notice, ...]:
        """Returns what to tell the caller of records that were stored."""
        return () if self.source is None else tuple(notices(self.source, self.became, self.without_zone))


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestResult:
    """What became of a call.

    Attributes:
        workspace: that it was for.
        sources: by name as the caller wrote it, in the caller's order.
        validation_seconds: from the call's arrival until its records were checked.
        ingestion_seconds: from then until the last answer; 0 in a dry run.
        total_seconds: from the call's arrival until now.
    """

    workspace: str
    sources: Mapping[str, SourceResult]
    validation_seconds: float
    ingestion_seconds: float
    total_seconds: float


@dataclass(frozen=True, slots=True)
class CallLimits:
    """What one call may have: settings of the process.

    Attributes:
        sources: of a dialect that limits them.
        records_per_source: in each dialect.
    """

    sources: int
    records_per_source: int


DOCUMENTED_LIMITS: Final = CallLimits(sources=2, records_per_source=10)
"""As the dialects have them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestDialect(Generic[Options]):
    """A dialect of ingest.

    Attributes:
        name: unique among the APIs of a server.
        max_body_bytes: longest body that is read.
        max_record_bytes: longest JSON text of one record.
        names_workspace: whether the body may name the workspace, so that the caller's right to that one is known only
            once the body was read.
        parse: understands a body; the request is there for its headers and query. Raises ``RequestError``.
        find_source: returns the source that a name means. Raises ``RecordError`` for each of its records, or
            ``RequestError`` for the call as a whole.
        adapter: returns the function that makes of a decoded record what its source takes: names as they are there,
            values in the source's own spelling; it may raise ``RecordError``.
        admit: refuses a checked call as a whole, by ``RequestError``, before anything of it is stored.
        answer: writes the answer to a call that was not refused as a whole; the text is the request's id.
    """

    name: str
    max_body_bytes: int
    max_record_bytes: int
    names_workspace: bool
    parse: Callable[[bytes, Request], IngestCall[Options]]
    find_source: Callable[[str, Sources], Source]
    adapter: Callable[[Source], Callable[[object], object]]
    admit: Callable[[IngestCall[Options], Mapping[str, CheckedSource]], None]
    answer: Callable[[IngestCall[Options], IngestResult, str], Response]


def admit_all(_call: IngestCall[Options], _checked: Mapping[str, CheckedSource]) -> None:
    """Admits every call: what is wrong with a record is said of that record alone."""
