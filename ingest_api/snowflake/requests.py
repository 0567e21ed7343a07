"""What callers of the ingest endpoint send: its structure and limits (rules SI-3 to SI-5).

Invariant: what is wrong with the request as a whole is a ``RequestError`` here; what is wrong with one record is left
to that record.
"""

import difflib
import re
from dataclasses import dataclass
from typing import Final

import msgspec

from schemas.errors import INVALID_FIELD_TYPE, RECORD_TOO_LARGE, RecordError, RequestError
from schemas.limits import MAX_INGEST_RECORD_BYTES, MAX_RECORDS_PER_SOURCE, MAX_SOURCES_PER_REQUEST

_SHOWN_CHARACTERS: Final = 60

_RECORDS: Final = "records"
_DRY_RUN: Final = "dry_run"
_INCLUDE_DIAGNOSTICS: Final = "include_diagnostics"
_FIELDS: Final = (_RECORDS, _DRY_RUN, _INCLUDE_DIAGNOSTICS)

_KIND_OF_FIRST_BYTE: Final = {
    b"{": "object",
    b"[": "array",
    b'"': "string",
    b"t": "boolean",
    b"f": "boolean",
    b"n": "null",
}

_MEMBER: Final = re.compile(rb'[\s,]*("[^"\\]*(?:\\.[^"\\]*)*")\s*:\s*', re.DOTALL)
"""A member of an object up to its value, with the comma before it."""

_AFTER_VALUE: Final = re.compile(rb"\s*[,}]")

_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
"""An escape in a string; the group is half of a surrogate pair without its other half."""

_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY: Final = msgspec.json.Decoder(list[msgspec.Raw])
_ANY: Final = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True)
class IngestRequest:
    """A request whose structure is right; records are JSON texts, by source name as sent."""

    records: dict[str, list[msgspec.Raw]]
    dry_run: bool
    include_diagnostics: bool


def parse_request(body: bytes) -> IngestRequest:
    """Returns the request in a body.

    Raises:
        RequestError: it is not JSON of a request, or past the limits.
    """
    fields = _body_fields(body)
    repeated = _repeated_name(body, fields)
    if repeated is not None:
        raise RequestError(f"Field '{repeated[:_SHOWN_CHARACTERS]}' comes more than once in the request; send it once")
    for name in fields:
        if name not in _FIELDS:
            close = difflib.get_close_matches(name[:_SHOWN_CHARACTERS], _FIELDS, n=1)
            advice = f"did you mean '{close[0]}'?" if close else f"known fields: {', '.join(_FIELDS)}"
            raise RequestError(f"Unknown field '{name[:_SHOWN_CHARACTERS]}' in the request; {advice}")
    if _RECORDS not in fields:
        raise RequestError("Request is missing required field: records")
    records = _sources(fields[_RECORDS])
    return IngestRequest(records, _flag(fields, _DRY_RUN), _flag(fields, _INCLUDE_DIAGNOSTICS))


def decode_record(text: msgspec.Raw) -> object:
    """Returns one record's JSON value.

    Raises:
        RecordError: its text is too long, or it holds what no value can be made of.
    """
    size = len(memoryview(text))
    if size > MAX_INGEST_RECORD_BYTES:
        raise RecordError(RECORD_TOO_LARGE, f"Record has {size} bytes, at most {MAX_INGEST_RECORD_BYTES} are accepted")
    try:
        return _ANY.decode(text)
    except msgspec.ValidationError:
        raise RecordError(INVALID_FIELD_TYPE, _out_of_range(text)) from None
    except RecursionError:
        raise RecordError(INVALID_FIELD_TYPE, "Record nests too deeply") from None


def _out_of_range(text: msgspec.Raw) -> str:
    """Returns the message for a record with a number that no type can hold, naming its field."""
    problem = "expected number in the range of 64-bit floats, got one outside of it"
    try:
        for name, value in _OBJECT.decode(text).items():
            try:
                _ANY.decode(value)
            except msgspec.ValidationError:
                return f"Field '{name[:_SHOWN_CHARACTERS]}': {problem}"
    except msgspec.ValidationError:
        pass  # not an object
    return f"Record: {problem}"


def _repeated_name(text: bytes, members: dict[str, msgspec.Raw]) -> str | None:
    """Returns the first name that an object's text has twice, or None.

    ``members`` are the object's, with the last value of each name, so a walk over the text that expects those values
    goes wrong where an earlier one stands. No value is parsed again.
    """
    seen: set[str] = set()
    position = text.index(b"{") + 1
    while (member := _MEMBER.match(text, position)) is not None:
        name = str(_ANY.decode(member[1]))
        value = bytes(members[name])
        position = member.end() + len(value)
        if name in seen or not text.startswith(value, member.end()) or not _AFTER_VALUE.match(text, position):
            return name
        seen.add(name)
    return None


def _body_fields(body: bytes) -> dict[str, msgspec.Raw]:
    if not body:
        raise RequestError("Request body is empty; expected a JSON object with the field records")
    try:
        body.decode()  # parts that are kept as text are not checked otherwise
        return _OBJECT.decode(body)
    except UnicodeDecodeError as error:
        raise RequestError(f"Request body is not UTF-8: {error.reason} at byte {error.start}") from None
    except msgspec.ValidationError:
        raise RequestError(f"Request body: expected object, got {_kind(body)}") from None
    except msgspec.DecodeError as error:
        raise RequestError(f"Request body is not valid JSON: {_half_pair(body) or error}") from None
    except RecursionError:
        raise RequestError("Request body nests too deeply") from None


def _half_pair(body: bytes) -> str | None:
    """Returns what is wrong with the first character that is half of one, of which the parser speaks in riddles."""
    half = next((escape for escape in _ESCAPE.finditer(body) if escape[1]), None)
    if half is None:
        return None
    return (
        f"'{half[0].decode()}' at byte {half.start()} is half of a surrogate pair, which is no character; "
        f"send both halves, or U+FFFD in its place"
    )


def _sources(text: msgspec.Raw) -> dict[str, list[msgspec.Raw]]:
    try:
        sources = _OBJECT.decode(text)
    except msgspec.ValidationError:
        raise RequestError(f"Field 'records': expected object of arrays by stream source, got {_kind(text)}") from None
    repeated = _repeated_name(bytes(text), sources)
    if repeated is not None:
        raise RequestError(
            f"Field 'records': stream source '{repeated[:_SHOWN_CHARACTERS]}' comes more than once; "
            f"send all of its records in one array"
        )
    if not sources:
        raise RequestError(f"Field 'records': expected 1 to {MAX_SOURCES_PER_REQUEST} stream sources, got 0")
    if len(sources) > MAX_SOURCES_PER_REQUEST:
        raise RequestError(
            f"Too many stream sources: at most {MAX_SOURCES_PER_REQUEST} are accepted in a request, "
            f"got {len(sources)}; "
            f"send several requests"
        )
    return {name: _records(name, records) for name, records in sources.items()}


def _records(source: str, text: msgspec.Raw) -> list[msgspec.Raw]:
    shown = source[:_SHOWN_CHARACTERS]
    try:
        records = _ARRAY.decode(text)
    except msgspec.ValidationError:
        raise RequestError(f"Field 'records.{shown}': expected array of records, got {_kind(text)}") from None
    if len(records) > MAX_RECORDS_PER_SOURCE:
        raise RequestError(
            f"Too many records for stream source '{shown}': at most {MAX_RECORDS_PER_SOURCE} are accepted in a "
            f"request, got {len(records)}; send several requests"
        )
    return records


def _flag(fields: dict[str, msgspec.Raw], name: str) -> bool:
    text = fields.get(name)
    if text is None:
        return False
    value = bytes(text).strip()
    if value not in (b"true", b"false"):
        raise RequestError(f"Field '{name}': expected boolean, got {_kind(text)}")
    return value == b"true"


def _kind(text: bytes | msgspec.Raw) -> str:
    """Returns what JSON calls the value that a text begins."""
    return _KIND_OF_FIRST_BYTE.get(bytes(text).lstrip()[:1], "number")
