"""The ingest API of Snowflake's Feature Store as a server mounts it: the dialect, and where it stands.

What ``diagnostics`` holds: ``ingest_api.snowflake.diagnostics``.

Invariant: whatever is refused is raised, so that there is one table of answers (`ingest_api.snowflake.errors`).
"""

from collections.abc import Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from access.schemes import SNOWFLAKE_TOKEN
from infra.http.api import Api
from infra.http.paths import INGEST
from ingest_api.ingestion.dialect import CallLimits, IngestCall, IngestDialect, IngestResult, admit_all
from ingest_api.ingestion.pipeline import IngestEndpoint, IngestService
from ingest_api.ingestion.sources import Source, Sources
from ingest_api.snowflake.diagnostics import diagnostics
from ingest_api.snowflake.errors import error_response
from ingest_api.snowflake.names import field_names, find_source
from ingest_api.snowflake.requests import SnowflakeOptions, check_content_type, parse_request
from ingest_api.snowflake.responses import ingest_response
from schemas.limits import MAX_INGEST_BODY_BYTES, MAX_INGEST_RECORD_BYTES


def snowflake_api(service: IngestService) -> Api:
    """Returns the API.

    Args:
        service: what it answers with.
    """
    endpoint = IngestEndpoint(service, snowflake_dialect(service.limits))
    return Api(
        name="snowflake-ingest",
        prefixes=(INGEST,),
        routes=[Route(INGEST, endpoint.post, methods=["POST"])],
        refuse=error_response,
        schemes=(SNOWFLAKE_TOKEN,),
        openapi=_OPENAPI,
    )


def snowflake_dialect(limits: CallLimits) -> IngestDialect[SnowflakeOptions]:
    """Returns the dialect.

    Args:
        limits: of its calls.
    """

    def parse(body: bytes, request: Request) -> IngestCall[SnowflakeOptions]:
        check_content_type(request.headers.get("content-type", ""))
        return parse_request(body, limits)

    return IngestDialect(
        name="snowflake-ingest",
        max_body_bytes=MAX_INGEST_BODY_BYTES,
        max_record_bytes=MAX_INGEST_RECORD_BYTES,
        names_workspace=False,
        parse=parse,
        find_source=_find_source,
        adapter=_adapter,
        admit=admit_all,
        answer=_answer,
    )


def _find_source(name: str, sources: Sources) -> Source:
    return find_source(name, sources.by_name)


def _adapter(source: Source) -> Callable[[object], object]:
    return field_names(source.fields)


def _answer(call: IngestCall[SnowflakeOptions], result: IngestResult, request_id: str) -> Response:
    found = diagnostics(result) if call.options.include_diagnostics else None
    return ingest_response(request_id, result.sources, found)


_OPENAPI: Final[dict[str, Any]] = {
    INGEST: {
        "post": {
            "summary": "Stores records of stream sources, or checks them in a dry run",
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "required": ["records"],
                            "additionalProperties": False,
                            "properties": {
                                "records": {
                                    "type": "object",
                                    "description": "Arrays of records by stream source",
                                    "additionalProperties": {"type": "array", "items": {"type": "object"}},
                                },
                                "dry_run": {"type": "boolean", "default": False},
                                "include_diagnostics": {"type": "boolean", "default": False},
                            },
                        }
                    }
                },
            },
            "responses": {
                "200": {"description": "Each record is stored, for each view of its source."},
                "207": {"description": "Some records or views failed; the body says which and why."},
                "400": {"description": "The request as a whole is not as expected."},
                "401": {"description": "The caller is not known."},
                "403": {"description": "The caller may not do this in the workspace."},
                "413": {"description": "The body is too large."},
                "429": {"description": "There is no room now; try again."},
                "503": {"description": "Kafka or the definitions are away; try again."},
            },
        }
    }
}
