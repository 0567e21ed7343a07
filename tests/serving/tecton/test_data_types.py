from typing import Any

import pytest

from schemas.types import SCALARS, Array, Bool, DataType, Field, Float64, Int64, Map, Struct, Timestamp
from serving.tecton.data_types import data_type


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
def test_types_are_written_as_the_reference_shows(dtype: DataType, expected: dict[str, Any]) -> None:
    assert data_type(dtype) == expected


def test_each_scalar_has_its_own_name_on_the_wire() -> None:
    assert [data_type(scalar) for scalar in SCALARS.values()] == [{"type": name} for name in SCALARS]
