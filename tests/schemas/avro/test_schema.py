import io
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.avro import schema as avro
from schemas.errors import CodecError
from schemas.types import SCALARS, Array, DataType, Field, Float64, Int64, Map, String, Struct, Timestamp
from tests.support.column_types import values
from tests.support.histories import examples

FIELDS = (Field("user", String), Field("amount", Float64, required=False), Field("at", Timestamp))


def field_of(kind: Any) -> Field:
    (field,) = avro.fields_of_avro_record({"type": "record", "fields": [{"name": "f", "type": kind}]})
    return field


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("int", Field("f", Int64)),
        ("float", Field("f", Float64)),
        ({"type": "string"}, Field("f", String)),
        (["null", "long"], Field("f", Int64, required=False)),
        (["long", "null"], Field("f", Int64, required=False)),
        ({"type": "long", "logicalType": "timestamp-millis"}, Field("f", Timestamp)),
        ({"type": "array", "items": "long"}, Field("f", Array(Int64))),
        ({"type": "map", "values": ["string", "null"]}, Field("f", Map(String))),
        (
            {"type": "record", "name": "r", "fields": [{"name": "m", "type": "long"}]},
            Field("f", Struct((Field("m", Int64),))),
        ),
    ],
)
def test_avro_types_of_others_become_fields(kind: Any, expected: Field) -> None:
    assert field_of(kind) == expected


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (["null", "long", "string"], r"field 'f': a union must be of null and one type, got \["),
        (["null"], "a union must be of null and one type"),
        ("bytes", "field 'f': Avro type \"bytes\" is not supported; expected long, double"),
        ({"type": "bytes", "logicalType": "decimal"}, "is not supported"),
        ({"type": "int", "logicalType": "time-millis"}, "is not supported"),
        ({"type": "enum", "name": "e", "symbols": ["a"]}, 'Avro type "enum" is not supported'),
        ({"type": "array", "items": ["long", "string"]}, "is not supported"),
        ({"type": "array"}, "Avro type null is not supported"),
        ({"type": "map"}, "Avro type null is not supported"),
        ({}, "Avro type {} is not supported"),
        ({"type": "record", "name": "r"}, "whose fields each have a name and a type"),
    ],
)
def test_an_avro_type_that_no_field_can_have_names_the_field(kind: Any, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        field_of(kind)


@pytest.mark.parametrize("document", [None, [], "record", {"type": "enum"}])
def test_what_is_no_record_schema_is_refused(document: Any) -> None:
    with pytest.raises(CodecError, match="expected an Avro record schema"):
        avro.fields_of_avro_record(document)


@pytest.mark.parametrize("fields", [None, {}, [5], [{"name": "x"}], [{"type": "long"}]])
def test_a_record_schema_without_proper_fields_is_refused(fields: Any) -> None:
    with pytest.raises(CodecError, match="whose fields each have a name and a type"):
        avro.fields_of_avro_record({"type": "record", "fields": fields})


@pytest.mark.parametrize(
    "text",
    ["", "nul", '"nope"', '{"type":"record"}', '{"type":"record","name":"a","fields":5}', "5", "[" * 100_000],
    ids=lambda text: text[:20],
)
def test_text_that_is_no_avro_schema_is_refused(text: str) -> None:
    with pytest.raises(CodecError, match="not an Avro schema"):
        avro.parse(text)


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


@given(field_lists(TYPES))
@examples(100)
def test_fields_and_avro_are_inverses(fields: list[Field]) -> None:
    document = avro.avro_record("source", tuple(fields))
    assert avro.fields_of_avro_record(document) == tuple(fields)
    fastavro.parse_schema(document)


@given(field_lists(TYPES).flatmap(lambda fields: st.tuples(st.just(fields), values(Struct(tuple(fields))))))
@examples(100)
def test_every_value_of_a_type_fits_its_avro_form(case: tuple[list[Field], dict[str, Any]]) -> None:
    fields, value = case
    schema = fastavro.parse_schema(avro.avro_record("source", tuple(fields)))
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, schema, value)
    buffer.seek(0)
    read: Any = fastavro.schemaless_reader(buffer, schema, None)
    assert read.keys() == value.keys()
    assert not buffer.read()


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
    fastavro.parse_schema(avro.avro_record("source", fields))
