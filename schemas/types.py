"""The data types of fields and features: one class of values, its Avro form and its name on the wire.

Invariant: a value that passed ``schemas.records.validate`` for a type is of the Python type named here, and every codec
(state, log, wire) accepts exactly that.

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
"""

from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Array", "Bool", "DataType", "Field", "Float64", "Int64", "Map", "Scalar", "String", "Struct", "Timestamp"]


@dataclass(frozen=True, slots=True)
class Scalar:
    """A type without parts; ``name`` is its wire name."""

    name: str

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Array:
    """A list whose items are all of one type; items may be null."""

    element: "DataType"
    name: str = "array"


@dataclass(frozen=True, slots=True)
class Map:
    """A mapping from strings to values of one type."""

    value: "DataType"
    name: str = "map"


@dataclass(frozen=True, slots=True)
class Struct:
    """Named members in a fixed order."""

    fields: "tuple[Field, ...]"
    name: str = "struct"


DataType = Scalar | Array | Map | Struct

Int64: Final = Scalar("int64")
Float64: Final = Scalar("float64")
String: Final = Scalar("string")
Bool: Final = Scalar("boolean")
Timestamp: Final = Scalar("timestamp")

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

SCALARS: Final = {scalar.name: scalar for scalar in (Int64, Float64, String, Bool, Timestamp)}

_AVRO_OF_SCALAR: Final[dict[str, Any]] = {
    "int64": "long",
    "float64": "double",
    "string": "string",
    "boolean": "boolean",
    "timestamp": {"type": "long", "logicalType": "timestamp-micros"},
}


@dataclass(frozen=True, slots=True)
class Field:
    """A named value of a source, an entity or a struct.

    Args:
        name: letters, digits and underscores, starting with a letter.
        dtype: its data type.
        required: whether a record without it (or with null) is refused.
    """

    name: str
    dtype: DataType
    required: bool = True


def avro_type(dtype: DataType, name: str) -> Any:
    """Returns the Avro schema of a data type; ``name`` becomes the name of a record.

    Names of nested records are unique, as each spells its way from the outermost record: ``_item``, ``_value``, or
    ``_3_abc`` for a member ``abc``. The length keeps ``a_b`` apart from ``b`` in ``a``.
    """
    match dtype:
        case Scalar(scalar):
            return _AVRO_OF_SCALAR[scalar]
        case Array(element):
            return {"type": "array", "items": ["null", avro_type(element, f"{name}_item")]}
        case Map(value):
            return {"type": "map", "values": ["null", avro_type(value, f"{name}_value")]}
        case _:
            return {"type": "record", "name": name, "fields": [avro_field(field, name) for field in dtype.fields]}


def avro_field(field: Field, prefix: str) -> dict[str, Any]:
    """Returns the Avro field of a field; one that is not required is a union with null that defaults to null."""
    kind = avro_type(field.dtype, f"{prefix}_{len(field.name)}_{field.name}")
    if field.required:
        return {"name": field.name, "type": kind}
    return {"name": field.name, "type": ["null", kind], "default": None}


def avro_record(name: str, fields: tuple[Field, ...]) -> dict[str, Any]:
    """Returns the Avro record schema of a list of fields."""
    return {"type": "record", "name": name, "fields": [avro_field(field, name) for field in fields]}


def wire_type(dtype: DataType) -> dict[str, Any]:
    """Returns ``dataType`` as the Tecton HTTP API writes it (`reference/tecton-http-api.md` §1.1)."""
    match dtype:
        case Scalar(scalar):
            return {"type": scalar}
        case Array(element):
            return {"type": "array", "elementType": wire_type(element)}
        case Map(value):
            return {"type": "map", "keyType": {"type": "string"}, "valueType": wire_type(value)}
        case _:
            members = [{"name": field.name, "dataType": wire_type(field.dtype)} for field in dtype.fields]
            return {"type": "struct", "fields": members}


def parse_wire_type(value: dict[str, Any]) -> DataType:
    """Returns the data type of a ``wire_type`` document; the two are inverses but for ``required`` of members."""
    kind = value["type"]
    if kind == "array":
        return Array(parse_wire_type(value["elementType"]))
    if kind == "map":
        return Map(parse_wire_type(value["valueType"]))
    if kind == "struct":
        return Struct(tuple(Field(m["name"], parse_wire_type(m["dataType"]), required=False) for m in value["fields"]))
    return SCALARS[kind]
