"""What Tecton's stream ingest answers to a call that was stored or checked (rules TI-12 to TI-15).

Counts are of rows, as text: a view may make none or several of a record. A row that is too late for the view is in the
offline log alone, and counts there (rule TI-7). A dry run counts what would be written.

Invariant: 200 only if each record is stored for each view of its source.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from starlette.responses import Response

from ingest_api.ingestion.dialect import IngestCall, IngestResult, SourceResult
from ingest_api.ingestion.pending import Failure
from ingest_api.tecton.errors import JSON, NOT_STORED, OVERDUE, Refusal, record_problem, records_refused, refused
from schemas.definitions.ids import defined_id
from schemas.definitions.plan import ViewPlan
from schemas.errors import UNAVAILABLE, WRITE_ERROR
from schemas.messages.updates import LATE, OFFLINE_ONLY, ROW_OUTCOMES, WOULD_WRITE

_LOGGED: Final = (*ROW_OUTCOMES, WOULD_WRITE)
_ONLINE: Final = tuple(name for name in _LOGGED if name not in (LATE, OFFLINE_ONLY))

_OF_STORES: Final[Mapping[str, Refusal]] = {WRITE_ERROR: NOT_STORED, UNAVAILABLE: OVERDUE}
"""Failures that are no record's fault refuse the call as a whole; sending it again is safe."""


class _Failed(NamedTuple):
    """A record that was not stored, or not for one view."""

    source: str
    record: int
    view: str
    failure: Failure


def ingest_response(installation: str, _call: IngestCall[None], result: IngestResult, _request_id: str) -> Response:
    """Returns the answer.

    Args:
        installation: whose ids things have.
        result: what became of it.
    """
    failed = [each for name, source in result.sources.items() for each in _failed(name, source)]
    for each in failed:
        refusal = _OF_STORES.get(each.failure.code)
        if refusal is not None:
            view = f", feature view {each.view}" if each.view else ""
            return refused(refusal, f"{each.source}, record {each.record}{view}: {each.failure.message}")
    if failed:
        problems = [record_problem(each.source, each.record, each.failure, each.view) for each in failed]
        return records_refused(result.workspace, problems)
    return Response(msgspec.json.encode(_metrics(installation, result)), media_type=JSON)


def _failed(name: str, source: SourceResult) -> Iterator[_Failed]:
    for index, (code, message) in sorted(source.errors.items()):  # those that Kafka did not take: others were refused
        yield _Failed(name, index, "", Failure(code, message))
    names = {view.key: view.name for view, _ in source.views}
    for index, of_views in sorted(source.failed.items()):
        for key, failure in of_views.items():
            yield _Failed(name, index, names[key], failure)


def _metrics(installation: str, result: IngestResult) -> dict[str, Any]:
    views: list[dict[str, Any]] = []
    sources: list[dict[str, Any]] = []
    for name, each in result.sources.items():
        views += [_view(installation, result.workspace, each, view) for view, _ in each.views]
        if each.source is not None and each.source.log_offline and each.total:
            sources.append(
                {
                    "dataSourceName": name,
                    "offlineRecordIngestCount": str(each.total),
                    "dataSourceId": defined_id(installation, result.workspace, "stream_source", name),
                }
            )
    metrics = {"featureViewIngestMetrics": views}
    return {
        "workspaceName": result.workspace,
        "ingestMetrics": metrics | ({"dataSourceIngestMetrics": sources} if sources else {}),
    }


def _view(installation: str, workspace: str, source: SourceResult, view: ViewPlan) -> dict[str, Any]:
    became = source.became.get(view.key, {})

    def count(outcomes: Iterable[str]) -> str:
        return str(sum(became.get(outcome, 0) for outcome in outcomes))

    offline = {"offlineRecordIngestCount": count(_LOGGED)} if view.offline else {}
    return {
        "featureViewName": view.name,
        "onlineRecordIngestCount": count(_ONLINE) if view.online else "0",
        **offline,
        "featureViewId": defined_id(installation, workspace, "feature_view", view.name, view.version),
    }
