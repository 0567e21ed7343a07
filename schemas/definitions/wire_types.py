"""Data types as plans store them: the ``dataType`` of the Tecton HTTP API (`reference/tecton-http-api.md` §1.1).

Invariant: the two functions are inverses but for ``required`` of members, which the form has no word for.
"""

from typing import Any

from schemas.types import SCALARS, Array, DataType, Field, Map, Struct, fold


def wire_type(dtype: DataType) -> dict[str, Any]:
    """Returns the document of a data type."""
    return fold(
        dtype,
        scalar=lambda name: {"type": name},
        array=lambda element: {"type": "array", "elementType": element},
        mapping=lambda value: {"type": "map", "keyType": {"type": "string"}, "valueType": value},
        struct=lambda members: {
            "type": "struct",
            "fields": [{"name": field.name, "dataType": document} for field, document in members],
        },
    )


def parse_wire_type(value: dict[str, Any]) -> DataType:
    """Returns the data type of a document."""
    kind = value["type"]
    if kind == "array":
        return Array(parse_wire_type(value["elementType"]))
    if kind == "map":
        return Map(parse_wire_type(value["valueType"]))
    if kind == "struct":
        return Struct(tuple(Field(m["name"], parse_wire_type(m["dataType"]), required=False) for m in value["fields"]))
    return SCALARS[kind]
