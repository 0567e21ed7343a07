"""The JSON that callers send, whatever the dialect: objects and arrays whose parts stay texts, and records.

Parts stay as they were sent until something looks at them, so that what is wrong with one record is that record's
alone, and a number that no type can hold, deep inside, does not refuse the whole request.

Invariant: what is wrong with the structure is a ``RequestError``, with one record a ``RecordError``; both name the
place, what was expected and what came.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from schemas.errors import INVALID_FIELD_TYPE, RECORD_TOO_LARGE, RecordError, RequestError

SHOWN_CHARACTERS: Final = 60
"""Of a name that a caller chose, in messages."""

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


def body_fields(body: bytes, known: Sequence[str], required: Iterable[str]) -> dict[str, msgspec.Raw]:
    """Returns the fields of a body that is one object.

    Args:
        body: of the request.
        known: names of the fields that there are.
        required: those that must be there.

    Raises:
        RequestError: it is no such object.
    """
    fields = _decoded(body, known)
    repeated = repeated_name(body, fields)
    if repeated is not None:
        raise RequestError(f"Field '{repeated[:SHOWN_CHARACTERS]}' comes more than once in the request; send it once")
    for name in fields:
        if name not in known:
            close = difflib.get_close_matches(name[:SHOWN_CHARACTERS], known, n=1)
            advice = f"did you mean '{close[0]}'?" if close else f"known fields: {', '.join(known)}"
            raise RequestError(f"Unknown field '{name[:SHOWN_CHARACTERS]}' in the request; {advice}")
    for name in required:
        if name not in fields:
            raise RequestError(f"Request is missing required field: {name}")
    return fields


def members_of(text: msgspec.Raw, where: str, expected: str) -> dict[str, msgspec.Raw]:
    """Returns the members of an object; of a name that comes twice, the last one (see `repeated_name`).

    Args:
        text: of the object.
        where: its path in the body, for messages.
        expected: what is to be there, for messages.

    Raises:
        RequestError: it is something else.
    """
    try:
        return _OBJECT.decode(text)
    except msgspec.ValidationError:
        raise RequestError(f"Field '{where}': expected {expected}, got {kind_of(text)}") from None


def items_of(text: msgspec.Raw, where: str, expected: str) -> list[msgspec.Raw]:
    """Returns the items of an array; arguments and errors as of `members_of`."""
    try:
        return _ARRAY.decode(text)
    except msgspec.ValidationError:
        raise RequestError(f"Field '{where}': expected {expected}, got {kind_of(text)}") from None


def records_by_source(text: msgspec.Raw, where: str, most: int) -> dict[str, list[msgspec.Raw]]:
    """Returns the texts of records by stream source, in the caller's order.

    Args:
        text: of an object of arrays.
        where: its path in the body, for messages.
        most: records that a source may have.

    Raises:
        RequestError: it is something else, a source comes twice or has more records.
    """
    sources = members_of(text, where, "object of arrays by stream source")
    repeated = repeated_name(bytes(text), sources)
    if repeated is not None:
        raise RequestError(
            f"Field '{where}': stream source '{repeated[:SHOWN_CHARACTERS]}' comes more than once; "
            f"send all of its records in one array"
        )
    return {name: _records(name, records, where, most) for name, records in sources.items()}


def _records(source: str, text: msgspec.Raw, where: str, most: int) -> list[msgspec.Raw]:
    shown = source[:SHOWN_CHARACTERS]
    records = items_of(text, f"{where}.{shown}", "array of records")
    if len(records) > most:
        raise RequestError(
            f"Too many records for stream source '{shown}': at most {most} are accepted in a "
            f"request, got {len(records)}; send several requests"
        )
    return records


def flag_of(fields: Mapping[str, msgspec.Raw], name: str) -> bool:
    """Returns the boolean of a name; false where it is not there.

    Raises:
        RequestError: it is something else.
    """
    text = fields.get(name)
    if text is None:
        return False
    value = bytes(text).strip()
    if value not in (b"true", b"false"):
        raise RequestError(f"Field '{name}': expected boolean, got {kind_of(text)}")
    return value == b"true"


def text_of(text: msgspec.Raw, where: str) -> str:
    """Returns a string.

    Raises:
        RequestError: it is something else.
    """
    if kind_of(text) != "string":
        raise RequestError(f"Field '{where}': expected string, got {kind_of(text)}")
    return str(_ANY.decode(text))


def repeated_name(text: bytes, members: Mapping[str, msgspec.Raw]) -> str | None:
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


def kind_of(text: bytes | msgspec.Raw) -> str:
    """Returns what JSON calls the value that a text begins."""
    return _KIND_OF_FIRST_BYTE.get(bytes(text).lstrip()[:1], "number")


def decode_record(text: msgspec.Raw, limit_bytes: int) -> object:
    """Returns one record's JSON value.

    Args:
        text: of the record.
        limit_bytes: longest text that is accepted.

    Raises:
        RecordError: its text is too long, or it holds what no value can be made of.
    """
    size = len(memoryview(text))
    if size > limit_bytes:
        raise RecordError(RECORD_TOO_LARGE, f"Record has {size} bytes, at most {limit_bytes} are accepted")
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
                return f"Field '{name[:SHOWN_CHARACTERS]}': {problem}"
    except msgspec.ValidationError:
        pass  # not an object
    return f"Record: {problem}"


def _decoded(body: bytes, known: Sequence[str]) -> dict[str, msgspec.Raw]:
    if not body:
        raise RequestError(f"Request body is empty; expected a JSON object with the field {known[0]}")
    try:
        body.decode()  # parts that are kept as text are not checked otherwise
        return _OBJECT.decode(body)
    except UnicodeDecodeError as error:
        raise RequestError(f"Request body is not UTF-8: {error.reason} at byte {error.start}") from None
    except msgspec.ValidationError:
        raise RequestError(f"Request body: expected object, got {kind_of(body)}") from None
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
