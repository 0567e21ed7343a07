import io
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.avro.schema import fields_of_avro_record
from schemas.types import (
    SCALARS,
    Array,
    Bool,
    DataType,
    Field,
    Float64,
    Int64,
    Map,
    String,
    Struct,
    Timestamp,
    avro_record,
    parse_wire_type,
    wire_type,
)
from tests.support.histories import examples

INNER = Struct((Field("x", Int64),))
NAMES = st.sampled_from(("a", "b", "c_d", "E1"))


def _structs(inner: st.SearchStrategy[DataType]) -> st.SearchStrategy[DataType]:
    return field_lists(inner).map(lambda fields: Struct(tuple(fields)))


def field_lists(inner: st.SearchStrategy[DataType]) -> st.SearchStrategy[list[Field]]:
    return st.lists(st.builds(Field, NAMES, inner, st.booleans()), min_size=1, unique_by=lambda field: field.name)


TYPES: st.SearchStrategy[DataType] = st.recursive(
    st.sampled_from(sorted(SCALARS.values(), key=repr)),
    lambda inner: st.one_of(inner.map(Array), inner.map(Map), _structs(inner)),
    max_leaves=6,
)


def _members_optional(dtype: DataType) -> DataType:
    match dtype:
        case Array(element):
            return Array(_members_optional(element))
        case Map(value):
            return Map(_members_optional(value))
        case Struct(fields):
            return Struct(tuple(Field(f.name, _members_optional(f.dtype), required=False) for f in fields))
    return dtype


@given(field_lists(TYPES))
@examples(100)
def test_fields_and_avro_are_inverses(fields: list[Field]) -> None:
    document = avro_record("source", tuple(fields))
    assert fields_of_avro_record(document) == tuple(fields)
    fastavro.parse_schema(document)


@given(TYPES)
@examples(100)
def test_wire_types_come_back_but_for_required_members(dtype: DataType) -> None:
    assert parse_wire_type(wire_type(dtype)) == _members_optional(dtype)


def _values(dtype: DataType) -> st.SearchStrategy[Any]:
    match dtype:
        case Array(element):
            return st.lists(st.none() | _values(element), max_size=3)
        case Map(value):
            return st.dictionaries(st.text(max_size=3), st.none() | _values(value), max_size=3)
        case Struct(fields):
            return st.fixed_dictionaries({f.name: _member(f) for f in fields})
    return {
        Int64: st.integers(-(2**63), 2**63 - 1),
        Float64: st.floats(allow_nan=False),
        String: st.text(max_size=3),
        Bool: st.booleans(),
        Timestamp: st.integers(-(2**50), 2**50),
    }[dtype]


def _member(field: Field) -> st.SearchStrategy[Any]:
    return _values(field.dtype) if field.required else st.none() | _values(field.dtype)


@given(field_lists(TYPES).flatmap(lambda fields: st.tuples(st.just(fields), _values(Struct(tuple(fields))))))
@examples(100)
def test_every_value_of_a_type_fits_its_avro_form(case: tuple[list[Field], dict[str, Any]]) -> None:
    fields, value = case
    schema = fastavro.parse_schema(avro_record("source", tuple(fields)))
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, schema, value)
    buffer.seek(0)
    read: Any = fastavro.schemaless_reader(buffer, schema, None)
    assert read.keys() == value.keys()
    assert not buffer.read()


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


def test_scalars_are_shown_by_their_names() -> None:
    assert repr(Array(String)) == "Array(element=string, name='array')"


@pytest.mark.parametrize(
    "fields",
    [
        (Field("a_b", INNER), Field("a", Struct((Field("b", INNER),)))),
        (Field("a_item", INNER), Field("a", Array(INNER))),
        (Field("a_value", INNER), Field("a", Map(INNER))),
        (Field("a", Struct((Field("_b", INNER),))), Field("a_", Struct((Field("b", INNER),)))),
        (Field("a", Struct((Field("b_1_c", INNER),))), Field("a_1_b", Struct((Field("c", INNER),)))),
    ],
)
def test_records_inside_of_records_never_share_a_name(fields: tuple[Field, ...]) -> None:
    fastavro.parse_schema(avro_record("source", fields))
