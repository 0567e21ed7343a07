"""What a caller is told besides, if it asks by ``include_diagnostics`` (rule SI-15).

- ``total_ms``, and of it ``validation_ms`` (parsing and checking) and ``ingestion_ms`` (from publishing until the last
  answer; in a dry run the views' functions).
- ``feature_views``: by source, for each view, how many rows had which outcome, and how many records it dropped or
  failed on. In a dry run rows that are not late are ``rows``: only state knows whether they are new.
- ``failures``: each record that a view failed on, since the answer itself names one record for each view.
- ``notices``: what was stored, but perhaps not as was meant (`ingest_api.ingestion.notices`).

Invariant: what is not asked for is not computed, and the answer without it is as the dialect documents it.
"""

from collections.abc import Iterator
from typing import Any, Final

from ingest_api.ingestion.dialect import IngestResult, SourceResult
from ingest_api.ingestion.notices import Notice
from ingest_api.snowflake.errors import view_code

_MILLISECONDS: Final = 1_000


def diagnostics(result: IngestResult) -> dict[str, Any]:
    """Returns the diagnostics of a call of which this became."""
    seconds = {
        "total_ms": result.total_seconds,
        "validation_ms": result.validation_seconds,
        "ingestion_ms": result.ingestion_seconds,
    }
    return {
        **{name: round(value * _MILLISECONDS, 3) for name, value in seconds.items()},
        "feature_views": {name: list(_views(source)) for name, source in result.sources.items()},
        "failures": [each for name, source in result.sources.items() for each in _failures(name, source)],
        "notices": [_notice(name, each) for name, source in result.sources.items() for each in source.notices],
    }


def _views(source: SourceResult) -> Iterator[dict[str, Any]]:
    for view, _ in source.views:
        if source.became:
            yield {"name": view.name, "version": view.version, "became": source.became[view.key]}


def _failures(name: str, source: SourceResult) -> Iterator[dict[str, Any]]:
    views = {view.key: view for view, _ in source.views}
    for index, failed in source.failed.items():
        for key, failure in failed.items():
            yield {
                "source": name,
                "index": index,
                "name": views[key].name,
                "version": views[key].version,
                "error": {"code": view_code(failure.code), "message": failure.message},
            }


def _notice(name: str, notice: Notice) -> dict[str, Any]:
    about = {} if notice.view is None else {"name": notice.view.name, "version": notice.view.version}
    return {"source": name, **about, "kind": notice.kind, "count": notice.count, "message": notice.message}
