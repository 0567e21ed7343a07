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
    """A type without parts."""

    name: str

    @override
    def __repr__(self) -> str:
        return self.name


class Array(msgspec.Struct, frozen=True, tag_field="kind", tag="array"):
    """A list whose items are all of one type; items may be null."""

    name: ClassVar[str] = "array"

    element: "DataType"


class Map(msgspec.Struct, frozen=True, tag_field="kind", tag="map"):
    """A mapping from strings to values of one type."""

    name: ClassVar[str] = "map"

    value: "DataType"


class Struct(msgspec.Struct, frozen=True, tag_field="kind", tag="struct"):
    """Named members in a fixed order."""

    name: ClassVar[str] = "struct"

    fields: "tuple[Field, ...]"


class Field(msgspec.Struct, frozen=True, array_like=True):
    """A named value of a source, a row, an entity or a struct.

    Args:
        name: letters, digits and underscores, starting with a letter.
        dtype: its data type.
        required: whether a record without it (or with null) is refused.
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
