"""What a view's function returned, checked and put in the order of the view's columns.

Invariant: a row that leaves here has exactly the types of its view's columns and keeps to the limits of its join keys,
of its identity columns and of the texts that tiles keep; timestamps are µs since the epoch.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, cast

from schemas.definitions.plan import ViewPlan
from schemas.definitions.tile_budget import kept_texts, text_limit
from schemas.errors import FUNCTION_FAILED, RecordError
from schemas.instants import micros
from schemas.limits import MAX_IDENTITY_BYTES, MAX_JOIN_KEY_BYTES, MAX_TILE_BYTES
from schemas.messages.updates import Value
from schemas.state.keys import JoinKey, LongKeyError, encode_identity, encode_join_keys
from schemas.types import INT64_MAX, INT64_MIN, DataType, fold

BuiltRow = tuple[bytes, int, list[Value]]
Convert = Callable[[Any], Value]


class _LongTextError(Exception):
    """A text of a column that tiles keep is too long; its size in bytes."""


def compile_row_builder(view: ViewPlan) -> Callable[[Mapping[str, Any]], BuiltRow]:
    """Returns the function that turns what a view's function returned into (encoded join keys, event time, values).

    The function it returns raises ``RecordError`` for a value that is missing, of the wrong type or too long; it names
    the view, the column, what was expected and what came. Columns that the view does not have are left out.
    """
    kept, limit = kept_texts(view), text_limit(view)
    columns = [
        (
            column.name,
            _kept_string(limit) if column.name in kept else _converter(column.dtype),
            column.dtype.name + (", as the source has it in identity=[...]" if column.name in view.identity else ""),
            column.required,
        )
        for column in view.columns
    ]
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
            except _LongTextError as error:
                raise _refused(
                    view,
                    name,
                    f"at most {limit:,} bytes of text, as its features keep {MAX_TILE_BYTES:,} bytes in a tile",
                    f"{error.args[0]:,} bytes",
                ) from None
        event_time = values[key_count]
        if not isinstance(event_time, int):
            raise _refused(view, view.timestamp_field, "timestamp", "null")
        try:
            key = encode_join_keys(cast("list[JoinKey]", values[:key_count]))
        except LongKeyError as error:
            raise _refused(
                view,
                view.join_keys[error.position],
                f"at most {MAX_JOIN_KEY_BYTES:,} bytes of join keys",
                f"{error.size:,} bytes",
            ) from None
        return key, event_time, values

    return _with_checked_identity(view, build) if view.identity else build


def _with_checked_identity(
    view: ViewPlan, build: Callable[[Mapping[str, Any]], BuiltRow]
) -> Callable[[Mapping[str, Any]], BuiltRow]:
    names = [column.name for column in view.columns]
    places = [names.index(name) for name in view.identity]

    def checked(row: Mapping[str, Any]) -> BuiltRow:
        built = build(row)
        try:
            encode_identity(cast("list[JoinKey]", [built[2][place] for place in places]))
        except LongKeyError as error:
            raise _refused(
                view,
                view.identity[error.position],
                f"at most {MAX_IDENTITY_BYTES:,} bytes of identity columns",
                f"{error.size:,} bytes",
            ) from None
        return built

    return checked


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


def _kept_string(limit: int) -> Convert:
    def string(value: Any) -> Value:
        if type(value) is not str:
            raise TypeError
        size = len(value.encode())  # which a lone surrogate refuses
        if size > limit:
            raise _LongTextError(size)
        return value

    return string


def _boolean(value: Any) -> Value:
    if type(value) is not bool:
        raise TypeError
    return value


def _timestamp(value: Any) -> Value:
    if not isinstance(value, datetime):
        raise TypeError
    return int(micros(value))  # pandas' NaT is a datetime too, and ends here as NaN


OF_SCALAR: Final[dict[str, Convert]] = {
    "int64": _int64,
    "float64": _float64,
    "string": _string,
    "boolean": _boolean,
    "timestamp": _timestamp,
}


def _converter(dtype: DataType) -> Convert:
    return fold(
        dtype,
        scalar=OF_SCALAR.__getitem__,
        array=lambda element: _array(_nullable(element)),
        mapping=lambda value: _map(_nullable(value)),
        struct=lambda members: _struct({field.name: _nullable(convert) for field, convert in members}),
    )


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
