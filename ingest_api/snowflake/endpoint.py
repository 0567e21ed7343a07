"""``POST /api/v1/ingest`` of the Snowflake dialect.

Order of checks: 1. who calls (401); 2. whether the caller may do anything here (403), before its body is looked at;
3. the body's size (413) and structure (400); 4. the role that this request needs (403); 5. each source and record.

A dry run does 1 to 5 and stores nothing; it lists the views that would be written, as successes, for each source with a
valid record. ``diagnostics`` has milliseconds: ``total_ms``, and of it ``validation_ms`` (parsing and checking) and
``ingestion_ms`` (from publishing until the last answer; 0 in a dry run).

Invariant: whatever is refused is raised, so that there is one table of answers (`ingest_api.snowflake.errors`).
"""

from collections.abc import Mapping
from time import perf_counter
from typing import Final

from msgspec import Raw
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from access.roles import Action, Principal
from infra.http.api import Api
from infra.http.paths import INGEST
from infra.http.request_body import Arrivals, read_body
from infra.http.request_context import note_workspace, request_id
from infra.metrics import ACK_SECONDS, RECORDS
from ingest_api.ingestion.pipeline import Batch, BatchOutcome
from ingest_api.ingestion.sources import Source, Sources
from ingest_api.service import IngestService
from ingest_api.snowflake.errors import error_response
from ingest_api.snowflake.names import field_names, find_source
from ingest_api.snowflake.requests import IngestRequest, decode_record, parse_request
from ingest_api.snowflake.responses import SourceResult, ingest_response
from schemas.errors import ForbiddenError, RecordError, RequestError
from schemas.limits import MAX_INGEST_ARRIVING, MAX_INGEST_BODY_BYTES

_MILLISECONDS: Final = 1_000

Errors = dict[int, tuple[str, str]]


def snowflake_api(service: IngestService) -> Api:
    """Returns the API of the dialect.

    Args:
        service: what it answers with.
    """
    routes = [Route(INGEST, IngestEndpoint(service).post, methods=["POST"])]
    return Api(name="snowflake-ingest", prefixes=(INGEST,), routes=routes, refuse=error_response)


class IngestEndpoint:
    """The endpoint; for use by one event loop.

    Args:
        service: what it answers with.
    """

    def __init__(self, service: IngestService) -> None:
        self._service = service
        self._arrivals = Arrivals(MAX_INGEST_ARRIVING)

    async def post(self, request: Request) -> Response:
        """Answers one request."""
        started = perf_counter()
        principal = await self._service.authenticator.authenticate(request.headers.get("authorization"))
        workspace = principal.default_workspace or self._service.default_workspace
        if not principal.may(Action.VALIDATE, workspace):
            _require(principal, Action.INGEST, workspace)
        with self._arrivals.of(principal.id) as seconds:
            body = await read_body(request.receive, MAX_INGEST_BODY_BYTES, "send fewer records in a request", seconds)
        if body is None:
            raise RequestError("The caller went away")
        parsed = parse_request(body)
        _require(principal, Action.VALIDATE if parsed.dry_run else Action.INGEST, workspace)
        sources = self._service.ingestion.sources(workspace)
        if sources.number >= 0:
            note_workspace(request.scope, workspace)
        checked = {name: _check(sources, name, texts) for name, texts in parsed.records.items()}
        validated = perf_counter()
        if parsed.dry_run:
            results = {name: _dry(parsed, name, *check) for name, check in checked.items()}
            ingested = validated
        else:
            results = await self._ingest(sources, parsed, checked)
            ingested = perf_counter()
            ACK_SECONDS.observe(ingested - started)
        diagnostics = {
            "total_ms": _milliseconds(started, perf_counter()),
            "validation_ms": _milliseconds(started, validated),
            "ingestion_ms": _milliseconds(validated, ingested),
        }
        return ingest_response(request_id(request.scope), results, diagnostics if parsed.include_diagnostics else None)

    async def _ingest(
        self, sources: Sources, parsed: IngestRequest, checked: Mapping[str, tuple[Batch | None, Errors]]
    ) -> dict[str, SourceResult]:
        batches = [batch for batch, _ in checked.values() if batch is not None]
        outcomes = iter(await self._service.ingestion.ingest(sources, batches))
        results: dict[str, SourceResult] = {}
        for name, (batch, errors) in checked.items():
            total = len(parsed.records[name])
            if batch is None:
                results[name] = SourceResult(total, errors, ())
            else:
                outcome = next(outcomes)
                _count(batch.source, total, errors, outcome)
                lost = {index: (failure.code, failure.message) for index, failure in outcome.failures.items()}
                results[name] = SourceResult(total, errors | lost, outcome.views)
        return results


def _require(principal: Principal, action: Action, workspace: str) -> None:
    if not principal.may(action, workspace):
        raise ForbiddenError(
            f"Not allowed to {action} in workspace '{workspace}'; ask an owner of the workspace for a role that may"
        )


def _check(sources: Sources, name: str, texts: list[Raw]) -> tuple[Batch | None, Errors]:
    """Returns the valid records of one source and what is wrong with the others; no batch if there is no such source.

    Raises:
        RequestError: there is no such source, and no records of it whose errors would say so.
    """
    try:
        source = find_source(name, sources.by_name)
    except RecordError as error:
        if not texts:
            raise RequestError(error.message) from None  # no record could carry it
        return None, dict.fromkeys(range(len(texts)), (error.code, error.message))
    rename = field_names(source.fields)
    frames: dict[int, bytes] = {}
    errors: Errors = {}
    for index, text in enumerate(texts):
        try:
            frames[index] = source.encode(rename(decode_record(text)))
        except RecordError as error:
            errors[index] = (error.code, error.message)
    return Batch(source, frames), errors


def _dry(parsed: IngestRequest, name: str, batch: Batch | None, errors: Errors) -> SourceResult:
    views = batch.source.views if batch is not None and batch.frames else ()
    return SourceResult(len(parsed.records[name]), errors, [(view, None) for view in views])


def _count(source: Source, total: int, errors: Errors, outcome: BatchOutcome) -> None:
    RECORDS.labels(source.workspace, source.name, "rejected").inc(len(errors))
    RECORDS.labels(source.workspace, source.name, "lost").inc(len(outcome.failures))
    RECORDS.labels(source.workspace, source.name, "accepted").inc(total - len(errors) - len(outcome.failures))


def _milliseconds(start: float, end: float) -> float:
    return round((end - start) * _MILLISECONDS, 3)
