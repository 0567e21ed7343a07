import io
import json
from datetime import UTC, datetime

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.avro import schema as avro
from schemas.avro import wire
from schemas.errors import CodecError
from schemas.types import Field, Float64, Int64, String, Timestamp
from tests.support.histories import examples

FIELDS = (Field("user", String), Field("amount", Float64, required=False), Field("at", Timestamp))
SCHEMA = avro.parse(avro.source_schema("events", FIELDS))
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
RECORD = {"user": "u", "amount": None, "at": AT}


def test_a_framed_record_comes_back() -> None:
    framed = wire.frame(258, SCHEMA, RECORD)
    assert framed[:5] == b"\x00\x00\x00\x01\x02"
    assert wire.schema_id_of(framed) == 258
    assert wire.unframe(framed, SCHEMA, None) == RECORD


def test_a_record_of_an_older_schema_is_read_with_its_own() -> None:
    older = avro.parse(avro.source_schema("events", (FIELDS[0], FIELDS[2])))
    framed = wire.frame(1, older, {"user": "u", "at": AT})
    assert wire.unframe(framed, older, SCHEMA) == RECORD


def test_timestamps_in_milliseconds_are_read_as_instants() -> None:
    millis = json.loads(avro.source_schema("events", FIELDS))
    millis["fields"][2]["type"]["logicalType"] = "timestamp-millis"
    writer = avro.parse(json.dumps(millis))
    framed = wire.frame(1, writer, {"user": "u", "amount": None, "at": AT})
    assert wire.unframe(framed, writer, SCHEMA)["at"] == AT.replace(microsecond=678000)


@pytest.mark.parametrize(
    ("value", "got"),
    [(b"", "nothing"), (b"\x00\x00", "2 bytes starting with 0000"), (b"{...}123", "8 bytes starting with 7b2e2e2e7d")],
)
def test_a_value_without_the_prefix_says_what_came(value: bytes, got: str) -> None:
    with pytest.raises(CodecError, match=got):
        wire.schema_id_of(value)


@pytest.mark.parametrize("schema_id", [0, 1, 2**24 + 2**16 + 2**8 + 1, 2**32 - 1])
def test_a_schema_id_is_read_whole_also_of_a_record_without_a_body(schema_id: int) -> None:
    assert wire.schema_id_of(b"\x00" + schema_id.to_bytes(4, "big")) == schema_id


def test_bytes_left_over_are_refused() -> None:
    with pytest.raises(CodecError, match="has 3 bytes left over"):
        wire.unframe(wire.frame(1, SCHEMA, RECORD) + b"abc", SCHEMA, None)


def test_a_writer_that_does_not_fit_the_reader_is_refused() -> None:
    other = avro.parse(avro.source_schema("events", (Field("user", Int64),)))
    with pytest.raises(CodecError, match="the Avro body does not decode: "):
        wire.unframe(wire.frame(1, other, {"user": 5}), other, SCHEMA)


@given(st.binary(max_size=40))
@examples(200)
def test_any_bytes_decode_or_are_refused(body: bytes) -> None:
    framed = b"\x00" + bytes(4) + body
    try:
        record = wire.unframe(framed, SCHEMA, None)
    except CodecError as error:
        assert "the Avro body" in error.message  # noqa: PT017 - both ends are right
    else:
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, SCHEMA, record)
        assert wire.unframe(framed[:5] + buffer.getvalue(), SCHEMA, None).keys() == record.keys()
