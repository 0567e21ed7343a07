"""The stream ingest call of the Tecton HTTP API as a server mounts it: the dialect, and where it stands.

A call is stored whole or, where one record is refused, not at all (rule TI-9).

Invariant: whatever is refused is raised, so that there is one table of answers (`ingest_api.tecton.errors`).
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from starlette.routing import Route

from access.schemes import TECTON_KEY
from infra.http.api import Api
from infra.http.paths import TECTON_INGEST, TECTON_INGEST_V2
from ingest_api.ingestion.dialect import CallLimits, CheckedSource, IngestCall, IngestDialect
from ingest_api.ingestion.pipeline import IngestEndpoint, IngestService
from ingest_api.ingestion.sources import Source, Sources
from ingest_api.tecton.errors import RecordProblem, RecordsRefusedError, error_response
from ingest_api.tecton.int64_texts import int64_texts
from ingest_api.tecton.requests import parse_request
from ingest_api.tecton.responses import ingest_response
from schemas.errors import NotFoundError
from schemas.limits import MAX_INGEST_BODY_BYTES, MAX_INGEST_RECORD_BYTES

SHOWN_CHARACTERS: Final = 200
"""Of an unknown name: longer than any source's may be."""


def tecton_api(service: IngestService) -> Api:
    """Returns the API.

    Args:
        service: what it answers with.
    """
    post = IngestEndpoint(service, tecton_dialect(service.installation, service.limits)).post
    paths = (TECTON_INGEST, TECTON_INGEST_V2)
    return Api(
        name="tecton-ingest",
        prefixes=paths,
        routes=[Route(path, post, methods=["POST"]) for path in paths],
        refuse=error_response,
        schemes=(TECTON_KEY,),
        openapi=dict.fromkeys(paths, _PATH_ITEM),
    )


def tecton_dialect(installation: str, limits: CallLimits) -> IngestDialect[None]:
    """Returns the dialect.

    Args:
        installation: whose ids its answers have.
        limits: of its calls.
    """
    return IngestDialect(
        name="tecton-ingest",
        max_body_bytes=MAX_INGEST_BODY_BYTES,
        max_record_bytes=MAX_INGEST_RECORD_BYTES,
        names_workspace=True,
        parse=lambda body, _request: parse_request(body, limits),
        find_source=_find_source,
        adapter=_adapter,
        admit=_admit,
        answer=partial(ingest_response, installation),
    )


def _find_source(name: str, sources: Sources) -> Source:
    if sources.number < 0:
        raise NotFoundError(f"There is no workspace '{sources.workspace}', or nothing was applied to it yet")
    source = sources.by_name.get(name)
    if source is None:
        known = f"known are: {', '.join(sorted(sources.by_name))}" if sources.by_name else "there are none"
        raise NotFoundError(
            f"Workspace '{sources.workspace}' has no stream source '{name[:SHOWN_CHARACTERS]}'; {known}"
        )
    return source


def _adapter(source: Source) -> Callable[[object], object]:
    return int64_texts(source.columns)


def _admit(call: IngestCall[None], checked: Mapping[str, CheckedSource]) -> None:
    for name, each in checked.items():
        is_online = each.source is not None and any(view.online for view in each.source.views)
        if not is_online and not call.dry_run:
            raise NotFoundError(
                f"No feature view of stream source '{name}' is served online; apply one, or send a dry run"
            )
    problems = [
        RecordProblem(name, f"record {index}: {code}: {message}")
        for name, each in checked.items()
        for index, (code, message) in sorted(each.errors.items())
    ]
    if problems:
        assert call.workspace is not None  # noqa: S101 - the dialect requires it
        raise RecordsRefusedError(call.workspace, problems)


_PATH_ITEM: Final[dict[str, Any]] = {
    "post": {
        "summary": "Stores records of stream sources, all or none, or checks them in a dry run",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["workspaceName", "dryRun", "records"],
                        "additionalProperties": False,
                        "properties": {
                            "workspaceName": {"type": "string"},
                            "dryRun": {"type": "boolean"},
                            "records": {
                                "type": "object",
                                "description": "Arrays of records by stream source",
                                "additionalProperties": {
                                    "type": "array",
                                    "items": {
                                        "type": "object",
                                        "required": ["record"],
                                        "additionalProperties": False,
                                        "properties": {"record": {"type": "object"}},
                                    },
                                },
                            },
                        },
                    }
                }
            },
        },
        "responses": {
            "200": {"description": "Each record is stored, for each view of its source."},
            "400": {"description": "The request, or a record of it, is not as expected; or a view's function failed."},
            "401": {"description": "The caller is not known."},
            "403": {"description": "The caller may not do this in the workspace."},
            "404": {"description": "There is no such workspace or source, or none of its views is served online."},
            "413": {"description": "The body is too large."},
            "429": {"description": "There is no room now; try again."},
            "500": {"description": "A store did not take what a view made of a record."},
            "503": {"description": "Kafka or the definitions are away; try again."},
            "504": {"description": "Not all stores answered in time; the records may be stored. Try again."},
        },
    }
}
