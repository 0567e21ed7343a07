"""Records as producers send them in JSON, checked against their source's schema: validators compiled once per plan.

Invariant: what a validator returns encodes as Avro under the source's schema, and means what the producer wrote; any
other JSON value ends in ``RecordError``, whose message names the field, what was expected and what came.

Strict: no value is converted but where JSON leaves no choice.

| type      | accepted                                                    | becomes               |
|-----------|-------------------------------------------------------------|-----------------------|
| int64     | number without a decimal point or exponent, of 64 bits      | int                   |
| float64   | number; the strings of ``FLOAT_WORDS``                      | float                 |
| string    | string of whole Unicode characters                          | str                   |
| boolean   | ``true``, ``false``                                         | bool                  |
| timestamp | string: ISO 8601 date, ``T`` or space, time; offset or none | aware datetime in UTC |
| array, map| array, object; items may be null                            | list, dict            |
| struct    | object with the struct's members and no others              | dict                  |

A timestamp without an offset is UTC; digits of a second after the sixth are cut off. A field that is not required may
be null or absent. Codes: rule SI-11; values: rules SI-7 and SI-8.
"""

import difflib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from schemas.avro.schema import fields_of_avro_record
from schemas.definitions.plan import SourcePlan
from schemas.errors import INVALID_FIELD_TYPE, INVALID_TIMESTAMP, MISSING_REQUIRED_FIELD, UNKNOWN_FIELD, RecordError
from schemas.types import INT64_MAX, INT64_MIN, Array, DataType, Field, Scalar, Struct, fold

FLOAT_WORDS: Final[Mapping[str, float]] = {
    "inf": float("inf"),
    "-inf": float("-inf"),
    "nan": float("nan"),
    "Infinity": float("inf"),
    "-Infinity": float("-inf"),
    "NaN": float("nan"),
}
"""How Snowflake's SDK (rule SI-7) and the Tecton API (rule TF-9) write what JSON has no number for."""


SHOWN_CHARACTERS: Final = 60
"""How much of a value, or of a name that a producer chose, a message repeats."""

KNOWN_FIELDS_SHOWN: Final = 20

_TIMESTAMP_SHAPES: Final = frozenset({"--T:", "--t:", "-- :"})
_SHAPE: Final = slice(4, 14, 3)
"""The separators of ``YYYY-MM-DDTHH:MM``: they rule out the dates alone, compact forms and weeks that
``fromisoformat`` takes as well (measured: a third of the time of a regular expression)."""

Validator = Callable[[object], dict[str, Any]]

_Convert = Callable[[Any], Any]


class _RefusedError(Exception):
    """A value that does not fit, and where: each container that it passes puts its own step before the path."""

    def __init__(self, code: str, problem: str, path: str = "") -> None:
        super().__init__(code, problem, path)
        self.code = code
        self.problem = problem
        self.path = path

    def inside(self, step: str) -> "_RefusedError":
        return _RefusedError(self.code, self.problem, step + self.path)

    def record_error(self) -> RecordError:
        path = self.path.removeprefix(".")
        if self.code == MISSING_REQUIRED_FIELD:
            return RecordError(self.code, f"Record is missing required field: {path}")
        if self.code == UNKNOWN_FIELD:
            return RecordError(self.code, f"Unknown field '{path}'; {self.problem}")
        return RecordError(self.code, f"Field '{path}': {self.problem}" if path else f"Record: {self.problem}")


def json_kind(value: object) -> str:
    """Returns what JSON calls a decoded value: null, boolean, number, string, array or object."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list() | tuple():
            return "array"
        case _:
            return "object"


def source_fields(source: SourcePlan) -> tuple[Field, ...]:
    """Returns a source's fields; unlike its columns, they know which members of structs are required."""
    return fields_of_avro_record(json.loads(source.schema))


def compile_validator(source: SourcePlan) -> Validator:
    """Returns the function that turns one decoded JSON record into what ``schemas.avro.schema.frame`` encodes.

    Names match exactly; a dialect that folds case does so before. The function it returns raises ``RecordError`` for
    the first thing that is wrong: in the order of the source's fields, then fields that the source does not have.
    """
    members = _converter(Struct(source_fields(source)))

    def validate(record: object) -> dict[str, Any]:
        try:
            converted: dict[str, Any] = members(record)
        except _RefusedError as refused:
            raise refused.record_error() from None
        return converted

    return validate


def _members(members: Sequence[tuple[Field, _Convert]]) -> _Convert:
    """Returns the converter of an object with exactly these members."""
    converters = [(field.name, convert, _expected(field.dtype), field.required) for field, convert in members]
    names = tuple(field.name for field, _ in members)

    def convert(value: object) -> dict[str, Any]:
        if type(value) is not dict:
            raise _mismatch("object", value)
        converted: dict[str, Any] = {}
        present = len(value)
        name = ""
        try:
            for name, convert_member, expected, required in converters:
                item = value.get(name)
                if item is not None:
                    converted[name] = convert_member(item)
                    present -= 1
                elif not required:
                    converted[name] = None
                    present -= name in value
                else:
                    raise _nothing(expected, is_null=name in value)
        except _RefusedError as refused:
            raise refused.inside(f".{name}") from None
        if present:
            raise _unknown(value, names)
        return converted

    return convert


def _unknown(value: Mapping[str, object], names: tuple[str, ...]) -> _RefusedError:
    name = next(name for name in value if name not in names)
    return _RefusedError(UNKNOWN_FIELD, suggestion(name, names), f".{_shown(name)}")


def suggestion(name: str, known: Iterable[str]) -> str:
    """Returns what to say after naming an unknown name: the one that was probably meant, and those that there are."""
    names = sorted(known)
    close = difflib.get_close_matches(name[:SHOWN_CHARACTERS], names, n=1)
    listed = ", ".join(names[:KNOWN_FIELDS_SHOWN]) + (", …" if len(names) > KNOWN_FIELDS_SHOWN else "")
    return (f"did you mean '{close[0]}'? " if close else "") + f"known fields: {listed}"


def _shown(name: str) -> str:
    name = name.encode("utf-8", "replace").decode()
    return name if len(name) <= SHOWN_CHARACTERS else f"{name[:SHOWN_CHARACTERS]}…"


def _mismatch(expected: str, value: object) -> _RefusedError:
    return _RefusedError(INVALID_FIELD_TYPE, f"expected {expected}, got {json_kind(value)}")


def _nothing(expected: str, *, is_null: bool) -> _RefusedError:
    return _mismatch(expected, None) if is_null else _RefusedError(MISSING_REQUIRED_FIELD, "")


def _int64(value: Any) -> int:
    if type(value) is not int:
        if type(value) is float:
            raise _RefusedError(
                INVALID_FIELD_TYPE,
                f"expected integer, got number {value!r}; write it without decimal point and exponent",
            )
        raise _mismatch("integer", value)
    if not INT64_MIN <= value <= INT64_MAX:
        raise _RefusedError(
            INVALID_FIELD_TYPE, f"expected integer from {INT64_MIN} to {INT64_MAX}, got one outside of it"
        )
    return value


def _float64(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is int:
        try:
            return float(value)
        except OverflowError:
            raise _RefusedError(
                INVALID_FIELD_TYPE, "expected number in the range of 64-bit floats, got one outside of it"
            ) from None
    number = FLOAT_WORDS.get(value) if type(value) is str else None
    if number is None:
        raise _mismatch("number", value)
    return number


def _string(value: Any) -> str:
    if type(value) is not str:
        raise _mismatch("string", value)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _RefusedError(
                INVALID_FIELD_TYPE, "expected string of whole Unicode characters, got string with a lone surrogate"
            ) from None
    return value


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise _mismatch("boolean", value)
    return value


def _timestamp(value: Any) -> datetime:
    if type(value) is not str:
        raise _mismatch("timestamp", value)
    try:
        if value[_SHAPE] in _TIMESTAMP_SHAPES:
            instant = datetime.fromisoformat(value if value[-1] != "z" else value[:-1] + "Z")
            zone = instant.tzinfo
            if zone is UTC:
                return instant
            return instant.replace(tzinfo=UTC) if zone is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise _RefusedError(
        INVALID_TIMESTAMP, f"expected ISO 8601 timestamp such as 2024-01-15T10:30:00Z, got '{_shown(value)}'"
    )


OF_SCALAR: Final[Mapping[str, tuple[_Convert, str]]] = {
    "int64": (_int64, "integer"),
    "float64": (_float64, "number"),
    "string": (_string, "string"),
    "boolean": (_boolean, "boolean"),
    "timestamp": (_timestamp, "timestamp"),
}
"""By type: its converter, and what messages call what it takes."""


def _expected(dtype: DataType) -> str:
    match dtype:
        case Scalar(name):
            return OF_SCALAR[name][1]
        case Array():
            return "array"
        case _:
            return "object"


def _converter(dtype: DataType) -> _Convert:
    return fold(dtype, scalar=lambda name: OF_SCALAR[name][0], array=_array, mapping=_map, struct=_members)


def _array(convert: _Convert) -> _Convert:
    def array(value: Any) -> list[Any]:
        if type(value) is not list:
            raise _mismatch("array", value)
        converted: list[Any] = []
        try:
            for item in value:
                converted.append(None if item is None else convert(item))  # noqa: PERF401 - its length tells where
        except _RefusedError as refused:
            raise refused.inside(f"[{len(converted)}]") from None
        return converted

    return array


def _map(convert: _Convert) -> _Convert:
    def mapping(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise _mismatch("object", value)
        converted: dict[str, Any] = {}
        key = ""
        try:
            for key, item in value.items():
                converted[_string(key)] = None if item is None else convert(item)
        except _RefusedError as refused:
            raise refused.inside(f".{_shown(key)}") from None
        return converted

    return mapping
