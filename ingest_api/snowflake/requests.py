"""What callers of the ingest endpoint send: its structure and limits (rules SI-3 to SI-5).

Invariant: what is wrong with the request as a whole is a ``RequestError`` here; what is wrong with one record is left
to that record.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from ingest_api.ingestion.dialect import CallLimits, IngestCall
from ingest_api.ingestion.json_body import SHOWN_CHARACTERS, body_fields, flag_of, records_by_source
from schemas.errors import RequestError

_RECORDS: Final = "records"
_DRY_RUN: Final = "dry_run"
_INCLUDE_DIAGNOSTICS: Final = "include_diagnostics"
_FIELDS: Final = (_RECORDS, _DRY_RUN, _INCLUDE_DIAGNOSTICS)


_JSON_TYPES: Final = frozenset({"", "application/json", "application/x-www-form-urlencoded"})
"""JSON, none, and what ``curl --data`` sends whatever the data are (rule SI-1)."""


@dataclass(frozen=True, slots=True)
class SnowflakeOptions:
    """What the dialect alone knows of a call.

    Attributes:
        include_diagnostics: whether the answer has the time that it took.
    """

    include_diagnostics: bool


def check_content_type(content_type: str) -> None:
    """Refuses a body that says that it is no JSON.

    Args:
        content_type: the ``Content-Type`` header; empty if there is none.

    Raises:
        RequestError: it names another type.
    """
    if content_type.partition(";")[0].strip().lower() not in _JSON_TYPES:
        raise RequestError(f"Content-Type: expected application/json, got '{content_type[:SHOWN_CHARACTERS]}'")


def parse_request(body: bytes, limits: CallLimits) -> IngestCall[SnowflakeOptions]:
    """Returns the call in a body.

    Args:
        body: of the request.
        limits: of the process.

    Raises:
        RequestError: it is not JSON of a request, or past the limits.
    """
    fields = body_fields(body, _FIELDS, (_RECORDS,))
    options = SnowflakeOptions(flag_of(fields, _INCLUDE_DIAGNOSTICS))
    return IngestCall(records=_sources(fields[_RECORDS], limits), dry_run=flag_of(fields, _DRY_RUN), options=options)


def _sources(text: msgspec.Raw, limits: CallLimits) -> dict[str, list[msgspec.Raw]]:
    sources = records_by_source(text, _RECORDS, limits.records_per_source)
    if not sources:
        raise RequestError(f"Field 'records': expected 1 to {limits.sources} stream sources, got 0")
    if len(sources) > limits.sources:
        raise RequestError(
            f"Too many stream sources: at most {limits.sources} are accepted in a request, "
            f"got {len(sources)}; send several requests"
        )
    return sources
