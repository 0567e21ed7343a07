"""What callers of Tecton's stream ingest send: its structure and limits (rules TI-2 and TI-3).

Invariant: what is wrong with the request as a whole is a ``RequestError`` here; what is wrong with one record is left
to that record.
"""

from typing import Final

import msgspec

from ingest_api.ingestion.dialect import CallLimits, IngestCall
from ingest_api.ingestion.json_body import (
    SHOWN_CHARACTERS,
    body_fields,
    flag_of,
    members_of,
    records_by_source,
    repeated_name,
    text_of,
)
from schemas.errors import RequestError

_WORKSPACE: Final = ("workspaceName", "workspace_name")
_DRY_RUN: Final = ("dryRun", "dry_run")
_RECORDS: Final = ("records",)
_KNOWN: Final = (*_RECORDS, *_WORKSPACE, *_DRY_RUN)

_RECORD: Final = "record"
_ITEM: Final = 'object such as {"record": {…}}'


def parse_request(body: bytes, limits: CallLimits) -> IngestCall[None]:
    """Returns the call in a body.

    Args:
        body: of the request.
        limits: of the process; the dialect has none of sources.

    Raises:
        RequestError: it is not JSON of a request, or past the limits.
    """
    fields = body_fields(body, _KNOWN, ())
    workspace, dry_run, records = (_spelled(fields, names) for names in (_WORKSPACE, _DRY_RUN, _RECORDS))
    sources = records_by_source(fields[records], records, limits.records_per_source)
    if not sources:
        raise RequestError("Field 'records': expected at least 1 stream source, got 0")
    return IngestCall(
        records={
            name: [_record(name, index, item) for index, item in enumerate(items)] for name, items in sources.items()
        },
        dry_run=flag_of(fields, dry_run),
        workspace=text_of(fields[workspace], workspace),
        options=None,
    )


def _spelled(fields: dict[str, msgspec.Raw], names: tuple[str, ...]) -> str:
    """Returns which spelling of a required field is there."""
    there = [name for name in names if name in fields]
    if not there:
        raise RequestError(f"Request is missing required field: {names[0]}")
    if len(there) > 1:
        raise RequestError(
            f"Field '{names[0]}' comes more than once in the request, also as '{there[1]}'; send it once"
        )
    return there[0]


def _record(source: str, index: int, text: msgspec.Raw) -> msgspec.Raw:
    where = f"records.{source[:SHOWN_CHARACTERS]}[{index}]"
    members = members_of(text, where, _ITEM)
    for name in members:
        if name != _RECORD:
            raise RequestError(f"Unknown field '{name[:SHOWN_CHARACTERS]}' in {where}; expected {_ITEM}")
    if repeated_name(bytes(text), members) is not None:
        raise RequestError(f"Field '{_RECORD}' comes more than once in {where}; send it once")
    if _RECORD not in members:
        raise RequestError(f"Field '{where}' is missing required field: {_RECORD}; expected {_ITEM}")
    return members[_RECORD]
