from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given

from processors.logs import columns
from schemas import types
from schemas.avro import schema
from schemas.records import rows, validate
from schemas.types import NAMED, SCALARS, Array, Bool, DataType, Field, Int64, Map, String, Struct, fold
from serving.tecton import values
from tests.support import column_types
from tests.support.histories import examples

CODECS: dict[str, Mapping[str, Any]] = {
    "schemas/avro/schema.py": schema.OF_SCALAR,
    "schemas/records/validate.py": validate.OF_SCALAR,
    "schemas/records/rows.py": rows.OF_SCALAR,
    "processors/logs/columns.py": columns.OF_SCALAR,
    "serving/tecton/values.py": values.OF_SCALAR,
    "tests/support/column_types.py": column_types.OF_SCALAR,
}
"""The tables with an entry for each scalar. ``serving/tecton/join_keys.py`` has those that join keys may have."""


def text(dtype: DataType) -> str:
    return fold(
        dtype,
        scalar=str,
        array=lambda element: f"[{element}]",
        mapping=lambda value: f"<{value}>",
        struct=lambda members: "(" + ", ".join(f"{field.name}: {member}" for field, member in members) + ")",
    )


def test_a_walk_goes_from_the_inside_out_and_keeps_the_order_of_members() -> None:
    dtype = Array(Struct((Field("b", Map(Int64)), Field("a", Array(Array(String))), Field("c", Struct(())))))
    assert text(dtype) == "[(b: <int64>, a: [[string]], c: ())]"
    assert text(Bool) == "boolean"


def test_scalars_are_shown_by_their_names() -> None:
    assert repr(Array(String)) == "Array(element=string)"


def test_every_type_has_its_name() -> None:
    types = (Int64, Array(Int64), Map(Int64), Struct(()))
    assert [dtype.name for dtype in types] == [
        "int64",
        "array",
        "map",
        "struct",
    ]


@pytest.mark.parametrize("codec", CODECS)
def test_each_codec_has_each_scalar(codec: str) -> None:
    assert CODECS[codec].keys() == SCALARS.keys()


def test_scalars_are_imported_by_the_names_in_their_table() -> None:
    assert {name: getattr(types, name) for name in NAMED} == NAMED
    assert set(NAMED) <= set(types.__all__)


@given(column_types.TYPES)
@examples(100)
def test_types_come_back_from_what_plans_store(dtype: DataType) -> None:
    stored = msgspec.json.encode(Field("f", dtype, required=False))
    assert msgspec.json.decode(stored, type=Field) == Field("f", dtype, required=False)


def test_plans_store_types_by_kind() -> None:
    dtype = Struct((Field("a", Array(Int64)), Field("b", Map(String), required=False)))
    assert msgspec.json.decode(msgspec.json.encode(dtype)) == {
        "kind": "struct",
        "fields": [
            ["a", {"kind": "array", "element": {"kind": "scalar", "name": "int64"}}, True],
            ["b", {"kind": "map", "value": {"kind": "scalar", "name": "string"}}, False],
        ],
    }


def test_types_are_values() -> None:
    assert {Array(Int64), Array(Int64), Map(Int64)} == {Array(Int64), Map(Int64)}
    assert Field("a", Int64) != Field("a", Int64, required=False)
