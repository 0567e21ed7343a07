"""What the ingest endpoint answers: keys and their order (rules SI-9 to SI-12).

Views that failed come after the others, as rule SI-10 has it; within both, by name and version.

Invariant: 200 and ``success`` only if no record and no view failed, else 207 and ``partial_success``.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from ingest_api.ingestion.dialect import SourceResult
from ingest_api.ingestion.pending import Failure
from ingest_api.snowflake.errors import JSON, record_code, view_code
from schemas.definitions.plan import ViewPlan


def ingest_response(
    request_id: str, sources: Mapping[str, SourceResult], diagnostics: Mapping[str, Any] | None
) -> Response:
    """Returns the answer to a request whose structure was right.

    Args:
        request_id: of the request.
        sources: by name as the caller wrote it, in the caller's order.
        diagnostics: what it is told besides; None if it was not asked for.
    """
    failed = any(
        source.errors or any(failure is not None for _, failure in source.views) for source in sources.values()
    )
    body: dict[str, Any] = {
        "request_id": request_id,
        "status": "partial_success" if failed else "success",
        "sources": {name: _source(source) for name, source in sources.items()},
    }
    if diagnostics is not None:
        body["diagnostics"] = diagnostics
    return Response(msgspec.json.encode(body), 207 if failed else 200, media_type=JSON)


def _source(source: SourceResult) -> dict[str, Any]:
    records: dict[str, Any] = {"total": source.total, "failed": len(source.errors)}
    if source.errors:
        records["errors"] = [
            {"index": index, "error": {"code": record_code(code), "message": message}}
            for index, (code, message) in sorted(source.errors.items())
        ]
    stored = [_view(view, None) for view, failure in source.views if failure is None]
    failed = [_view(view, failure) for view, failure in source.views if failure is not None]
    return {"records": records, "feature_views": {"failed": len(failed), "results": stored + failed}}


def _view(view: ViewPlan, failure: Failure | None) -> dict[str, Any]:
    result: dict[str, Any] = {"name": view.name, "version": view.version}
    if failure is None:
        return result | {"status": "success"}
    error: dict[str, Any] = {"code": view_code(failure.code), "message": failure.message}
    if failure.store:
        error["store"] = failure.store
    return result | {"status": "failed", "error": error | {"retryable": failure.retryable}}
