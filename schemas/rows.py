"""What a view's function returned, checked and put in the order of the view's columns.

Invariant: a row that leaves here has exactly the types of its view's columns; timestamps are µs since the epoch.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from schemas.errors import RecordError
from schemas.keys import JoinKey, encode_join_keys
from schemas.plan import ViewPlan
from schemas.types import INT64_MAX, INT64_MIN, Array, DataType, Map, Scalar, Struct, parse_wire_type
from schemas.updates import Value

FUNCTION_FAILED = "UDF_EXECUTION_FAILED"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

BuiltRow = tuple[bytes, int, list[Value]]
Convert = Callable[[Any], Value]


def micros(instant: datetime) -> int:
    """Returns µs since the epoch; an instant without a zone is taken as UTC."""
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return (instant - _EPOCH) // _MICROSECOND


def instant(value: int) -> datetime:
    """Returns the aware datetime, in UTC, of µs since the epoch."""
    return _EPOCH + timedelta(microseconds=value)


def compile_row_builder(view: ViewPlan) -> Callable[[Mapping[str, Any]], BuiltRow]:
    """Returns the function that turns what a view's function returned into (encoded join keys, event time, values).

    The function it returns raises ``RecordError`` for a value that is missing or of the wrong type; it names the view,
    the column, what was expected and what came. Columns that the view does not have are left out.
    """
    columns = [(c.name, _converter(parse_wire_type(c.dtype)), c.dtype["type"], c.required) for c in view.columns]
    key_count = len(view.join_keys)

    def build(row: Mapping[str, Any]) -> BuiltRow:
        values: list[Value] = []
        for name, convert, expected, required in columns:
            value = row.get(name)
            if value is None:
                if required:
                    raise _refused(view, name, expected, "nothing" if name not in row else "null")
                values.append(None)
                continue
            try:
                values.append(convert(value))
            except (TypeError, ValueError, OverflowError):
                raise _refused(view, name, expected, f"{type(value).__name__} {value!r:.60}") from None
        event_time = values[key_count]
        if not isinstance(event_time, int):
            raise _refused(view, view.timestamp_field, "timestamp", "null")
        return encode_join_keys(cast("list[JoinKey]", values[:key_count])), event_time, values

    return build


def _refused(view: ViewPlan, column: str, expected: str, came: str) -> RecordError:
    message = f"view {view.name!r}: column {column!r}: expected {expected}, the function returned {came}"
    return RecordError(FUNCTION_FAILED, message)


def _int64(value: Any) -> Value:
    if type(value) is not int or not INT64_MIN <= value <= INT64_MAX:
        raise TypeError
    return value


def _float64(value: Any) -> Value:
    if type(value) is float:
        return value
    if type(value) is not int:
        raise TypeError
    return float(value)


def _string(value: Any) -> Value:
    if type(value) is not str:
        raise TypeError
    value.encode()  # a lone surrogate cannot be stored
    return value


def _boolean(value: Any) -> Value:
    if type(value) is not bool:
        raise TypeError
    return value


def _timestamp(value: Any) -> Value:
    if not isinstance(value, datetime):
        raise TypeError
    return int(micros(value))  # pandas' NaT is a datetime too, and ends here as NaN


_SCALARS: dict[str, Convert] = {
    "int64": _int64,
    "float64": _float64,
    "string": _string,
    "boolean": _boolean,
    "timestamp": _timestamp,
}


def _converter(dtype: DataType) -> Convert:
    match dtype:
        case Scalar(name):
            return _SCALARS[name]
        case Array(element):
            return _array(_nullable(_converter(element)))
        case Map(value):
            return _map(_nullable(_converter(value)))
        case Struct(fields):
            return _struct({field.name: _nullable(_converter(field.dtype)) for field in fields})


def _nullable(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


def _array(convert: Convert) -> Convert:
    def array(value: Any) -> Value:
        if not isinstance(value, list | tuple):
            raise TypeError
        return [convert(item) for item in value]

    return array


def _map(convert: Convert) -> Convert:
    def mapping(value: Any) -> Value:
        if not isinstance(value, Mapping):
            raise TypeError
        return {str(_string(key)): convert(item) for key, item in value.items()}

    return mapping


def _struct(members: dict[str, Convert]) -> Convert:
    def struct(value: Any) -> Value:
        if not isinstance(value, Mapping):
            raise TypeError
        return {name: convert(value.get(name)) for name, convert in members.items()}

    return struct
