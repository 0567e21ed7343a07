"""Data types as the Tecton HTTP API spells them, its ``dataType`` (rule TF-11).

Invariant: names of scalars are the wire's own, so a document is made of the type alone.
"""

from typing import Any

from schemas.types import DataType, fold


def data_type(dtype: DataType) -> dict[str, Any]:
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
