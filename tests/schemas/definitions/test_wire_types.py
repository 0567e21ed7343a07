from typing import Any

import pytest
from hypothesis import given

from schemas.definitions.wire_types import parse_wire_type, wire_type
from schemas.types import Array, Bool, DataType, Field, Float64, Int64, Map, Struct, Timestamp
from tests.support.column_types import TYPES
from tests.support.histories import examples


def _members_optional(dtype: DataType) -> DataType:
    match dtype:
        case Array(element):
            return Array(_members_optional(element))
        case Map(value):
            return Map(_members_optional(value))
        case Struct(fields):
            return Struct(tuple(Field(f.name, _members_optional(f.dtype), required=False) for f in fields))
    return dtype


@given(TYPES)
@examples(100)
def test_wire_types_come_back_but_for_required_members(dtype: DataType) -> None:
    assert parse_wire_type(wire_type(dtype)) == _members_optional(dtype)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (Int64, {"type": "int64"}),
        (Array(Float64), {"type": "array", "elementType": {"type": "float64"}}),
        (Map(Bool), {"type": "map", "keyType": {"type": "string"}, "valueType": {"type": "boolean"}}),
        (
            Struct((Field("at", Timestamp),)),
            {"type": "struct", "fields": [{"name": "at", "dataType": {"type": "timestamp"}}]},
        ),
    ],
)
def test_wire_types_are_written_as_the_reference_shows(dtype: DataType, expected: dict[str, Any]) -> None:
    assert wire_type(dtype) == expected
