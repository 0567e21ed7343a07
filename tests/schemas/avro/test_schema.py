import io
import json
from datetime import UTC, datetime
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.avro import schema as avro
from schemas.errors import CodecError
from schemas.types import SCALARS, Array, Bool, DataType, Field, Float64, Int64, Map, String, Struct, Timestamp
from tests.support.histories import examples

FIELDS = (Field("user", String), Field("amount", Float64, required=False), Field("at", Timestamp))
SCHEMA = avro.parse(avro.source_schema("events", FIELDS))
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
RECORD = {"user": "u", "amount": None, "at": AT}


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
        ({"type": "int", "logicalType": "date"}, "is not supported"),
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


def test_a_framed_record_comes_back() -> None:
    framed = avro.frame(258, SCHEMA, RECORD)
    assert framed[:5] == b"\x00\x00\x00\x01\x02"
    assert avro.schema_id_of(framed) == 258
    assert avro.unframe(framed, SCHEMA, None) == RECORD


def test_a_record_of_an_older_schema_is_read_with_its_own() -> None:
    older = avro.parse(avro.source_schema("events", (FIELDS[0], FIELDS[2])))
    framed = avro.frame(1, older, {"user": "u", "at": AT})
    assert avro.unframe(framed, older, SCHEMA) == RECORD


def test_timestamps_in_milliseconds_are_read_as_instants() -> None:
    millis = json.loads(avro.source_schema("events", FIELDS))
    millis["fields"][2]["type"]["logicalType"] = "timestamp-millis"
    writer = avro.parse(json.dumps(millis))
    framed = avro.frame(1, writer, {"user": "u", "amount": None, "at": AT})
    assert avro.unframe(framed, writer, SCHEMA)["at"] == AT.replace(microsecond=678000)


@pytest.mark.parametrize(
    ("value", "got"),
    [(b"", "nothing"), (b"\x00\x00", "2 bytes starting with 0000"), (b"{...}123", "8 bytes starting with 7b2e2e2e7d")],
)
def test_a_value_without_the_prefix_says_what_came(value: bytes, got: str) -> None:
    with pytest.raises(CodecError, match=got):
        avro.schema_id_of(value)


@pytest.mark.parametrize("schema_id", [0, 1, 2**24 + 2**16 + 2**8 + 1, 2**32 - 1])
def test_a_schema_id_is_read_whole_also_of_a_record_without_a_body(schema_id: int) -> None:
    assert avro.schema_id_of(b"\x00" + schema_id.to_bytes(4, "big")) == schema_id


def test_bytes_left_over_are_refused() -> None:
    with pytest.raises(CodecError, match="has 3 bytes left over"):
        avro.unframe(avro.frame(1, SCHEMA, RECORD) + b"abc", SCHEMA, None)


def test_a_writer_that_does_not_fit_the_reader_is_refused() -> None:
    other = avro.parse(avro.source_schema("events", (Field("user", Int64),)))
    with pytest.raises(CodecError, match="the Avro body does not decode: "):
        avro.unframe(avro.frame(1, other, {"user": 5}), other, SCHEMA)


@given(st.binary(max_size=40))
@examples(200)
def test_any_bytes_decode_or_are_refused(body: bytes) -> None:
    framed = b"\x00" + bytes(4) + body
    try:
        record = avro.unframe(framed, SCHEMA, None)
    except CodecError as error:
        assert "the Avro body" in error.message  # noqa: PT017 - both ends are right
    else:
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, SCHEMA, record)
        assert avro.unframe(framed[:5] + buffer.getvalue(), SCHEMA, None).keys() == record.keys()


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
