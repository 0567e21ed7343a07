"""Events in a file: one JSON object in each line, or one JSON array of objects.

Invariant: what comes before something that is no event is yielded before that is refused, so that whoever sends it can
say how far it came.
"""

import json
from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, NamedTuple

from headrace.api_client import encode_json
from schemas.errors import RequestError

ONE_IN_EACH_LINE: Final = "expected one JSON object in each line"
CSV_HINT: Final = (
    "this looks like CSV; write each record as a JSON object in a line of its own, numbers without quotes, as "
    "csv.DictReader and json.dumps of Python do"
)
_OF_TABLES: Final = (".csv", ".tsv")


class FileEvent(NamedTuple):
    """An event and its place in the file: ``line 3``, or ``record 3`` of an array."""

    place: str
    record: Any


def read_events(file: BinaryIO) -> Iterator[FileEvent]:
    """Yields the events of a file, line by line unless it is an array.

    Raises:
        RequestError: a line, or the array, is not JSON; names file and line.
    """
    name = getattr(file, "name", "<stdin>")
    for number, read in enumerate(file, 1):
        line = read.removeprefix(BOM_UTF8) if number == 1 else read  # spreadsheets and PowerShell begin files with it
        if not line.strip():
            continue
        if line.lstrip().startswith(b"["):
            text = _decode(line + file.read(), name, number)
            for index, event in enumerate(_parse(text, name, number, "begins with [ but is no JSON array"), 1):
                place = f"record {index}"
                yield FileEvent(place, _sendable(event, f"{name}, line {number}: {place} of the array"))
            return
        where = f"{name}, line {number}: {ONE_IN_EACH_LINE}"
        text = _decode(line.rstrip(), name, number)
        if number == 1 and _is_of_a_table(name, text):
            raise RequestError(f"{where}: {CSV_HINT}")
        yield FileEvent(f"line {number}", _sendable(_parse(text, name, number, ONE_IN_EACH_LINE), where))


def _is_of_a_table(name: str, first_line: str) -> bool:
    """Whether a first line is that of a table: by the file's name, or since names stand there with commas between."""
    if first_line.lstrip().startswith("{"):
        return False
    names = first_line.split(",")
    return name.lower().endswith(_OF_TABLES) or (len(names) > 1 and all(map(str.isidentifier, map(str.strip, names))))


def _decode(text: bytes, name: str, number: int) -> str:
    """Decodes what begins in a line of a file."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = number + text.count(b"\n", 0, error.start)
        raise RequestError(f"{name}, line {line}: expected UTF-8: {error}") from error


def _parse(text: str, name: str, number: int, problem: str) -> Any:
    """Parses what begins in a line of a file."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = number + error.lineno - 1
        raise RequestError(f"{name}, line {line}: {problem}: {error.msg} at column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{name}, line {number}: {problem}: {error}") from error


def _sendable(event: Any, problem: str) -> Any:
    """Returns an event if it can be written as JSON; Python reads more: NaN, halves of surrogate pairs."""
    try:
        encode_json(event)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{problem}: {error}") from error
    return event
