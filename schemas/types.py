"""The data types of fields and features, and the one walk over them.

Invariant: a value that passed ``schemas.records.validate`` for a type is of the Python type named here, and every codec
(state, log, wire) accepts exactly that. Whatever is made for each type (a check, a codec, a document) is made by
``fold``, so a new kind of type is found by mypy wherever it is missing. A new scalar is an entry in ``NAMED``, and one
in the table of each codec, which ``tests/schemas/test_types.py`` lists.

| type      | Python value                 | Avro                              | wire name (Tecton) |
|-----------|------------------------------|-----------------------------------|--------------------|
| Int64     | int, 64-bit                  | long                              | int64              |
| Float64   | float                        | double                            | float64            |
| String    | str                          | string                            | string             |
| Bool      | bool                         | boolean                           | boolean            |
| Timestamp | int, µs since 1970-01-01 UTC | long, logicalType timestamp-micros| timestamp          |
| Array(T)  | list                         | array                             | array              |
| Map(T)    | dict[str, ...]               | map                               | map                |
| Struct    | dict[str, ...]               | record                            | struct             |

Plans store types as these structs: an object with ``kind`` and what the kind has; a field as the array of its name, its
type and whether it is required. Dialects spell types as they like.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final, TypeVar

import msgspec
from typing_extensions import override

__all__ = ["Array", "Bool", "DataType", "Field", "Float64", "Int64", "Map", "Scalar", "String", "Struct", "Timestamp"]


class Scalar(msgspec.Struct, frozen=True, tag_field="kind", tag="scalar"):
    """A type without parts: Int64, Float64, String, Bool or Timestamp.

    Int64 is a whole number of 64 bits. In JSON it is a number without decimal point and exponent; it is served as a
    decimal string, ``"11"``, since JSON numbers lose digits in many readers.

    Float64 is a 64-bit float. In JSON it is a number, or ``"NaN"``, ``"Infinity"`` or ``"-Infinity"``.

    String is text of whole Unicode characters. Bool is ``true`` or ``false``.

    Timestamp is an instant to the microsecond. In JSON it is ISO 8601 with date and time, ``2026-01-31T09:30:00Z``;
    without an offset it is UTC, and digits after the sixth are cut off. A view's function gets and returns an aware
    datetime; it is served in UTC with ``Z``.
    """

    name: str

    @override
    def __repr__(self) -> str:
        return self.name


class Array(msgspec.Struct, frozen=True, tag_field="kind", tag="array"):
    """A list whose items are all of one type, such as ``Array(String)``; items may be null.

    Args:
        element: the type of the items.
    """

    name: ClassVar[str] = "array"

    element: "DataType"


class Map(msgspec.Struct, frozen=True, tag_field="kind", tag="map"):
    """A mapping from strings to values of one type, such as ``Map(Float64)``; values may be null.

    Args:
        value: the type of the values.
    """

    name: ClassVar[str] = "map"

    value: "DataType"


class Struct(msgspec.Struct, frozen=True, tag_field="kind", tag="struct"):
    """Named members in a fixed order, such as ``Struct((Field("lat", Float64), Field("lon", Float64)))``.

    In JSON and for a view's function it is an object with its members; it is served as an array of them, in order.

    Args:
        fields: a tuple of the members; their names may begin with an underscore too.
    """

    name: ClassVar[str] = "struct"

    fields: "tuple[Field, ...]"


class Field(msgspec.Struct, frozen=True, array_like=True):
    """A named value of a source, a row, an entity or a struct.

    Args:
        name: letters, digits and single underscores, starting with a letter; at most 62 characters.
        dtype: its data type: Int64, Float64, String, Bool, Timestamp, Array, Map or Struct.
        required: whether a record without it (or with null) is refused. Of a view's column: whether a row without it
            is. Only a field with ``required=False`` can be added to a source that was applied.
    """

    name: str
    dtype: "DataType"
    required: bool = True


T = TypeVar("T")

DataType = Scalar | Array | Map | Struct

Int64: Final = Scalar("int64")
Float64: Final = Scalar("float64")
String: Final = Scalar("string")
Bool: Final = Scalar("boolean")
Timestamp: Final = Scalar("timestamp")

NAMED: Final[Mapping[str, Scalar]] = {
    "Int64": Int64,
    "Float64": Float64,
    "String": String,
    "Bool": Bool,
    "Timestamp": Timestamp,
}
"""All scalars, by the names under which repositories import them."""

SCALARS: Final[Mapping[str, Scalar]] = {scalar.name: scalar for scalar in NAMED.values()}

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


def fold(
    dtype: DataType,
    *,
    scalar: Callable[[str], T],
    array: Callable[[T], T],
    mapping: Callable[[T], T],
    struct: Callable[[Sequence[tuple[Field, T]]], T],
) -> T:
    """Returns what is made of a type, from the inside out. For use when plans are compiled, not for each value.

    Args:
        dtype: the type.
        scalar: makes it of a scalar's name.
        array: of what its items gave. Items may be null.
        mapping: of what its values gave. Values may be null.
        struct: of its members and what each gave, in order.
    """
    match dtype:
        case Scalar(name):
            return scalar(name)
        case Array(element):
            return array(fold(element, scalar=scalar, array=array, mapping=mapping, struct=struct))
        case Map(value):
            return mapping(fold(value, scalar=scalar, array=array, mapping=mapping, struct=struct))
        case _:
            return struct(
                [
                    (field, fold(field.dtype, scalar=scalar, array=array, mapping=mapping, struct=struct))
                    for field in dtype.fields
                ]
            )
