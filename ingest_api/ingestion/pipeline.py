"""The way of an ingest call, from its request to its answer, whatever the dialect.

1. Who calls (401)?
2. May the caller do anything here (403), and has it not used up its rate (429)? Before its body is looked at.
3. Its body, within size (413), also once it is decoded, and time; of one caller a bounded number may come slowly (429).
4. The body's structure (400).
5. May the caller do this in this workspace (403)? Before anything tells whether it exists.
6. Each source and record. A dialect may refuse the whole call for one of them. The rates of sources (429).
7. Publish and wait (`ingest_api.ingestion.publish_and_wait`); of a dry run, only run the views' functions
   (`ingest_api.ingestion.rehearsal`).
8. Count, unless it was a dry run.
9. Answer.

Invariant: what is refused as a whole is raised, before anything is stored; the API of the route answers it
(`infra.http.api`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final, Generic

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from access.authentication import Authenticator
from access.roles import Action, Principal
from infra.http.content_encoding import decoded_body
from infra.http.request_body import Arrivals, read_body
from infra.http.request_context import note_workspace, request_id
from infra.metrics import ACK_SECONDS, RECORDS, RECORDS_WITHOUT_ZONE
from ingest_api.ingestion.dialect import (
    DOCUMENTED_LIMITS,
    CallLimits,
    CheckedSource,
    IngestCall,
    IngestDialect,
    IngestResult,
    Options,
    SourceResult,
)
from ingest_api.ingestion.json_body import decode_record
from ingest_api.ingestion.publish_and_wait import Batch, BatchOutcome, Ingestion
from ingest_api.ingestion.rates import NO_LIMIT, Rate
from ingest_api.ingestion.rehearsal import Rehearsals
from ingest_api.ingestion.sources import Source, Sources
from schemas.errors import ForbiddenError, RecordError, RequestError
from schemas.limits import MAX_INGEST_ARRIVING

_FEWER: Final = "send fewer records in a request"


def _arrivals() -> Arrivals:
    return Arrivals(MAX_INGEST_ARRIVING)


@dataclass(frozen=True, slots=True)
class IngestService:
    """What the dialects of a process share.

    Attributes:
        authenticator: knows the callers.
        ingestion: stores records.
        default_workspace: of callers that name none and are bound to none.
        installation: whose ids its things have (`schemas.definitions.ids`).
        limits: of each call.
        account_rate: what an account may send, by its id.
        source_rate: what is taken for a source, by workspace and name.
        arrivals: bodies on their way, of all dialects together.
        rehearsals: run what is dry.
    """

    authenticator: Authenticator
    ingestion: Ingestion
    default_workspace: str
    installation: str
    limits: CallLimits = DOCUMENTED_LIMITS
    account_rate: Rate = NO_LIMIT
    source_rate: Rate = NO_LIMIT
    arrivals: Arrivals = field(default_factory=_arrivals)
    rehearsals: Rehearsals = field(default_factory=Rehearsals)


class IngestEndpoint(Generic[Options]):
    """The endpoint of one dialect; for use by one event loop.

    Args:
        service: what it answers with.
        dialect: that it speaks.
    """

    def __init__(self, service: IngestService, dialect: IngestDialect[Options]) -> None:
        self._service = service
        self._dialect = dialect

    async def post(self, request: Request) -> Response:
        """Answers one call.

        Raises:
            RequestError: refused as a whole; see the order of checks above.
            UnavailableError: definitions were not read yet, or Kafka is away.
        """
        started = perf_counter()
        service, dialect = self._service, self._dialect
        principal = await service.authenticator.authenticate(request.headers.get("authorization"))
        workspace = principal.default_workspace or service.default_workspace
        if dialect.names_workspace:
            _require_anywhere(principal)
        elif not principal.may(Action.VALIDATE, workspace):
            _require(principal, Action.INGEST, workspace)
        service.account_rate.check(principal.id)
        with service.arrivals.of(principal.id) as seconds:
            body = await read_body(request.receive, dialect.max_body_bytes, _FEWER, seconds)
        if body is None:
            raise RequestError("The caller went away")
        body = decoded_body(body, request.headers.get("content-encoding", ""), dialect.max_body_bytes, _FEWER)
        call = dialect.parse(body, request)
        workspace = call.workspace or workspace
        _require(principal, Action.VALIDATE if call.dry_run else Action.INGEST, workspace)
        sources = service.ingestion.sources(workspace)
        if sources.number >= 0:
            note_workspace(request.scope, workspace)
        checked = {name: _check(dialect, sources, name, texts) for name, texts in call.records.items()}
        dialect.admit(call, checked)
        self._take(principal, call, workspace, checked)
        validated = perf_counter()
        results = await self._results(call, sources, checked)
        ingested = perf_counter()
        if not call.dry_run:
            ACK_SECONDS.labels(workspace if sources.number >= 0 else "").observe(ingested - started)
        result = IngestResult(
            workspace=workspace,
            sources=results,
            validation_seconds=validated - started,
            ingestion_seconds=ingested - validated,
            total_seconds=perf_counter() - started,
        )
        return dialect.answer(call, result, request_id(request.scope))

    def _take(
        self, principal: Principal, call: IngestCall[Options], workspace: str, checked: Mapping[str, CheckedSource]
    ) -> None:
        """Counts what a call sends, for the rates of its account and, unless it is dry, of its sources.

        Raises:
            OverloadedError: a source has used up its rate; nothing was counted.
        """
        service = self._service
        found = () if call.dry_run else checked.values()
        sent = [(f"{workspace}/{each.source.name}", len(each.frames)) for each in found if each.source is not None]
        for name, _ in sent:
            service.source_rate.check(name)
        service.account_rate.take(principal.id, sum(map(len, call.records.values())))
        for name, records in sent:
            service.source_rate.take(name, records)

    async def _results(
        self, call: IngestCall[Options], sources: Sources, checked: Mapping[str, CheckedSource]
    ) -> dict[str, SourceResult]:
        batches = [Batch(each.source, each.frames) for each in checked.values() if each.source is not None]
        run = self._service.rehearsals.run if call.dry_run else self._service.ingestion.ingest
        outcomes = iter(await run(sources, batches))
        results: dict[str, SourceResult] = {}
        for name, each in checked.items():
            if each.source is None:
                results[name] = SourceResult(each.total, each.errors, ())
                continue
            results[name] = _result(each.source, each, next(outcomes))
            if not call.dry_run:
                _count(each.source, each, results[name])
        return results


def _require(principal: Principal, action: Action, workspace: str) -> None:
    if not principal.may(action, workspace):
        raise ForbiddenError(
            f"Not allowed to {action} in workspace '{workspace}'; ask an owner of the workspace for a role that may"
        )


def _require_anywhere(principal: Principal) -> None:
    if not any(principal.may(Action.VALIDATE, workspace) for workspace in principal.roles):
        raise ForbiddenError(
            f"Not allowed to {Action.INGEST} in any workspace; ask an owner of a workspace for a role that may"
        )


def _check(dialect: IngestDialect[Options], sources: Sources, name: str, texts: Sequence[msgspec.Raw]) -> CheckedSource:
    """Returns the valid records of one source and what is wrong with the others.

    Raises:
        RequestError: there is no such source, and no records of it whose errors would say so.
    """
    try:
        source = dialect.find_source(name, sources)
    except RecordError as error:
        if not texts:
            raise RequestError(error.message) from None  # no record could carry it
        return CheckedSource(None, len(texts), {}, dict.fromkeys(range(len(texts)), (error.code, error.message)))
    adapt = dialect.adapter(source)
    frames: dict[int, bytes] = {}
    errors: dict[int, tuple[str, str]] = {}
    without_zone: list[int] = []
    for index, text in enumerate(texts):
        try:
            record = adapt(decode_record(text, dialect.max_record_bytes))
            frames[index] = source.encode(record)
            if source.lacks_zone(record):
                without_zone.append(index)
        except RecordError as error:
            errors[index] = (error.code, error.message)
    return CheckedSource(source, len(texts), frames, errors, without_zone)


def _result(source: Source, checked: CheckedSource, outcome: BatchOutcome) -> SourceResult:
    """Returns what became of one source's records."""
    failures = {index: (failure.code, failure.message) for index, failure in outcome.failures.items()}
    errors = {**checked.errors, **failures}
    without_zone = sum(index not in outcome.failures for index in checked.without_zone)
    return SourceResult(checked.total, errors, outcome.views, source, outcome.became, outcome.failed, without_zone)


def _count(source: Source, checked: CheckedSource, result: SourceResult) -> None:
    rejected, failed = len(checked.errors), len(result.errors)
    RECORDS.labels(source.workspace, source.name, "rejected").inc(rejected)
    RECORDS.labels(source.workspace, source.name, "lost").inc(failed - rejected)
    RECORDS.labels(source.workspace, source.name, "accepted").inc(result.total - failed)
    RECORDS_WITHOUT_ZONE.labels(source.workspace, source.name).inc(result.without_zone)
