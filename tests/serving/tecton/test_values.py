from math import inf, nan
from typing import Any

import msgspec
import pytest

from schemas.types import Array, Bool, DataType, Field, Float64, Int64, Map, String, Struct, Timestamp
from serving.tecton.values import encoder

POINT = Struct((Field("x", Int64), Field("label", String), Field("at", Timestamp)))


def wire(dtype: DataType, value: Any) -> str:
    encode = encoder(dtype)
    return msgspec.json.encode(value if encode is None else encode(value)).decode()


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        (Int64, 669, '"669"'),
        (Int64, -(2**63), '"-9223372036854775808"'),
        (Float64, 58.349395161290275, "58.349395161290275"),
        (Float64, 842.8599999999999, "842.8599999999999"),
        (Float64, 3.0, "3.0"),
        (Float64, -0.0, "-0.0"),
        (Float64, nan, '"NaN"'),
        (Float64, inf, '"Infinity"'),
        (Float64, -inf, '"-Infinity"'),
        (String, 'é "quoted"', '"é \\"quoted\\""'),
        (Bool, True, "true"),
        (Timestamp, 1_683_216_000_000_000, '"2023-05-04T16:00:00Z"'),
        (Array(String), ["a", None], '["a",null]'),
        (Array(Int64), [1, None], '["1",null]'),
        (Array(Array(Float64)), [[nan], None], '[["NaN"],null]'),
        (Map(Bool), {"a": True, "b": None}, '{"a":true,"b":null}'),
        (Map(Int64), {"a": 1, "b": None}, '{"a":"1","b":null}'),
        (POINT, {"label": "p", "x": 1, "at": 0}, '["1","p","1970-01-01T00:00:00Z"]'),
        (POINT, {"label": None}, "[null,null,null]"),
        (Array(POINT), [{"x": 1}, None], '[["1",null,null],null]'),
    ],
)
def test_values_are_written_as_documented(dtype: DataType, value: Any, expected: str) -> None:
    assert wire(dtype, value) == expected
