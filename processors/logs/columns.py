"""Avro encoding of many rows at once, column by column.

Invariant: the bytes are those any Avro writer makes of ``schemas.avro.schema.avro_type`` and ``avro_field`` (Avro
specification, "Binary Encoding").

Why not fastavro, which reads what is written here: it takes rows as dicts and searches each union. Measured with 1,000
rows of six columns, four of them nullable: 2.3 µs a row here, 6.1 µs there.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Final

from schemas.avro.binary import encode_long, encode_longs
from schemas.messages.updates import Value
from schemas.types import DataType, Field, fold

Encode = Callable[[Sequence[Value]], list[bytes]]
"""Encodes the values of one column, each by itself."""

_NULL, _PRESENT = b"\x00", b"\x02"  # the branches of a union of null and a type
_END: Final = b"\x00"  # of an array's or a map's blocks
_FALSE, _TRUE = b"\x00", b"\x01"

_double: Final = struct.Struct("<d").pack


def field_encoder(field: Field) -> Encode:
    """Returns the encoder of a column; of one that is not required, as a union with null."""
    return _field(field, column_encoder(field.dtype))


def column_encoder(dtype: DataType) -> Encode:
    """Returns the encoder of values of a type."""
    return fold(dtype, scalar=OF_SCALAR.__getitem__, array=_array, mapping=_map, struct=_struct)


def encode_records(columns: Sequence[Sequence[bytes]]) -> bytes:
    """Returns an Avro array of records, from their encoded columns."""
    return _block(len(columns[0]), chain.from_iterable(zip(*columns, strict=True)))


def _field(field: Field, encode: Encode) -> Encode:
    return encode if field.required else partial(_nullable, encode)


def _array(element: Encode) -> Encode:
    return partial(_arrays, partial(_nullable, element))


def _map(value: Encode) -> Encode:
    return partial(_maps, partial(_nullable, value))


def _struct(members: Sequence[tuple[Field, Encode]]) -> Encode:
    return partial(_structs, [(field.name, _field(field, encode)) for field, encode in members])


def _nullable(encode: Encode, values: Sequence[Value]) -> list[bytes]:
    if None not in values:
        return [_PRESENT + data for data in encode(values)]
    present = iter(encode([value for value in values if value is not None]))
    return [_NULL if value is None else _PRESENT + next(present) for value in values]


def _booleans(values: Sequence[Value]) -> list[bytes]:
    return [_TRUE if value else _FALSE for value in values]


def _doubles(values: Sequence[Value]) -> list[bytes]:
    return list(map(_double, values))


def _strings(values: Sequence[Value]) -> list[bytes]:
    return [encode_long(len(data)) + data for data in map(str.encode, values)]


def _arrays(encode: Encode, values: Sequence[Value]) -> list[bytes]:
    return [_block(len(value), encode(value)) for value in values]


def _block(count: int, parts: Iterable[bytes]) -> bytes:
    """Returns an array or a map in one block."""
    return b"".join((encode_long(count), *parts, _END)) if count else _END


def _maps(encode: Encode, values: Sequence[Value]) -> list[bytes]:
    pairs = [zip(_strings(list(value)), encode(list(value.values())), strict=True) for value in values]
    return [_block(len(value), chain.from_iterable(items)) for value, items in zip(values, pairs, strict=True)]


def _structs(members: Sequence[tuple[str, Encode]], values: Sequence[Value]) -> list[bytes]:
    columns = [encode([value[name] for value in values]) for name, encode in members]
    return [b"".join(column[index] for column in columns) for index in range(len(values))]


OF_SCALAR: Final[dict[str, Encode]] = {
    "int64": encode_longs,
    "float64": _doubles,
    "string": _strings,
    "boolean": _booleans,
    "timestamp": encode_longs,
}
