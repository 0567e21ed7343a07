"""Avro record schemas as fields, and fields as Avro record schemas.

Invariant: ``fields_of_avro_record`` and ``avro_record`` are inverses for every schema Headrace makes.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import fastavro

from schemas.errors import CodecError
from schemas.types import SCALARS, Array, DataType, Field, Float64, Int64, Map, Scalar, Struct, Timestamp

OF_SCALAR: Final[Mapping[str, Any]] = {
    "int64": "long",
    "float64": "double",
    "string": "string",
    "boolean": "boolean",
    "timestamp": {"type": "long", "logicalType": "timestamp-micros"},
}

_READ: Final[Mapping[tuple[str, str | None], Scalar]] = {
    ("int", None): Int64,
    ("float", None): Float64,
    ("long", "timestamp-millis"): Timestamp,
    **{
        (kind, None) if isinstance(kind, str) else (kind["type"], kind["logicalType"]): SCALARS[name]
        for name, kind in OF_SCALAR.items()
    },
}
"""What a schema's type and logical type are read as: what we write, and what else means the same."""

_NULLABLE_BRANCHES: Final = 2

ParsedSchema = Any  # fastavro's own document


def fields_of_avro_record(document: Any) -> tuple[Field, ...]:
    """Returns the fields of an Avro record schema.

    Args:
        document: a decoded Avro schema.

    Raises:
        CodecError: it is not a record, or uses a type that no field can have; names the field.
    """
    if not isinstance(document, dict) or document.get("type") != "record":
        raise CodecError("expected an Avro record schema")
    fields = document.get("fields")
    if not isinstance(fields, list) or not all(
        isinstance(item, dict) and {"name", "type"} <= item.keys() for item in fields
    ):
        raise CodecError("expected an Avro record schema whose fields each have a name and a type")
    return tuple(_field(item) for item in fields)


def _field(item: dict[str, Any]) -> Field:
    kind = item["type"]
    if isinstance(kind, list):
        branches = [branch for branch in kind if branch != "null"]
        if len(branches) != 1 or len(kind) != _NULLABLE_BRANCHES:
            raise CodecError(f"field {item['name']!r}: a union must be of null and one type, got {json.dumps(kind)}")
        return Field(item["name"], _data_type(item["name"], branches[0]), required=False)
    return Field(item["name"], _data_type(item["name"], kind))


def _data_type(name: str, kind: Any) -> DataType:
    if isinstance(kind, list):
        inner = [branch for branch in kind if branch != "null"]
        if len(inner) == 1:
            return _data_type(name, inner[0])
    if isinstance(kind, str) and (kind, None) in _READ:
        return _READ[kind, None]
    if isinstance(kind, dict):
        base, logical = kind.get("type"), kind.get("logicalType")
        if isinstance(base, str) and isinstance(logical, str) and (base, logical) in _READ:
            return _READ[base, logical]
        if base == "array":
            return Array(_data_type(name, kind.get("items")))
        if base == "map":
            return Map(_data_type(name, kind.get("values")))
        if base == "record":
            return Struct(fields_of_avro_record(kind))
        if "logicalType" not in kind and base is not None:
            return _data_type(name, base)
    raise CodecError(
        f"field {name!r}: Avro type {json.dumps(kind)} is not supported; expected "
        f"{', '.join(kind if isinstance(kind, str) else kind['logicalType'] for kind in OF_SCALAR.values())}, "
        "array, map or record"
    )


def avro_type(dtype: DataType, name: str) -> Any:
    """Returns the Avro schema of a data type; ``name`` becomes the name of a record.

    Names of nested records are unique, as each spells its way from the outermost record: ``_item``, ``_value``, or
    ``_3_abc`` for a member ``abc``. The length keeps ``a_b`` apart from ``b`` in ``a``.
    """
    match dtype:
        case Scalar(scalar):
            return OF_SCALAR[scalar]
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


def source_schema(name: str, fields: tuple[Field, ...]) -> str:
    """Returns the Avro schema text under which a source's records are registered."""
    return json.dumps(avro_record(name, fields), sort_keys=True, separators=(",", ":"))


def parse(text: str) -> ParsedSchema:
    """Returns a schema ready for decoding.

    Raises:
        CodecError: the text is not an Avro schema.
    """
    try:
        return fastavro.parse_schema(json.loads(text))
    except (ValueError, KeyError, TypeError, RecursionError, fastavro.schema.SchemaParseException) as error:
        raise CodecError(f"not an Avro schema: {error}") from error
