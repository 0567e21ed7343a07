import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.avro import schema as avro
from schemas.avro import wire
from schemas.definitions.plan import SourcePlan
from schemas.errors import RecordError
from schemas.records.validate import FLOAT_WORDS, compile_validator, json_kind, source_fields
from schemas.types import Array, Bool, Field, Float64, Int64, Map, String, Struct, Timestamp

ADDRESS = Struct((Field("zip", Int64), Field("street", String, required=False)))
FIELDS = (
    Field("user_id", String),
    Field("amount", Float64),
    Field("timestamp", Timestamp),
    Field("count", Int64, required=False),
    Field("paid", Bool, required=False),
    Field("tags", Array(String), required=False),
    Field("scores", Map(Float64), required=False),
    Field("address", ADDRESS, required=False),
    Field("history", Array(ADDRESS), required=False),
    Field("seen", Timestamp, required=False),
)
RECORD: dict[str, Any] = {"user_id": "u1", "amount": 1.5, "timestamp": "2024-01-15T10:30:00Z"}
AT = datetime(2024, 1, 15, 10, 30, tzinfo=UTC)


def source_of(*fields: Field) -> SourcePlan:
    columns = tuple(fields)
    return SourcePlan(
        "tx", columns, "timestamp", log_offline=True, schema=avro.source_schema("tx", fields), schema_id=7, partitions=1
    )


SOURCE = source_of(*FIELDS)
VALIDATE = compile_validator(SOURCE)
SCHEMA = avro.parse(SOURCE.schema)


def refusal(record: object) -> tuple[str, str]:
    with pytest.raises(RecordError) as caught:
        VALIDATE(record)
    return caught.value.code, caught.value.message


def test_record_becomes_python_values_with_null_for_what_is_absent() -> None:
    assert VALIDATE(RECORD) == {
        "user_id": "u1",
        "amount": 1.5,
        "timestamp": AT,
        "count": None,
        "paid": None,
        "tags": None,
        "scores": None,
        "address": None,
        "history": None,
        "seen": None,
    }


def test_nested_values_are_converted() -> None:
    converted = VALIDATE(
        RECORD
        | {
            "tags": ["a", None],
            "scores": {"x": 1, "y": None},
            "address": {"zip": 10115},
            "history": [{"zip": 1, "street": "s"}, None],
            "count": -(2**63),
            "paid": False,
        }
    )
    assert converted["tags"] == ["a", None]
    assert converted["scores"] == {"x": 1.0, "y": None}
    assert isinstance(converted["scores"]["x"], float)
    assert converted["address"] == {"zip": 10115, "street": None}
    assert converted["history"] == [{"zip": 1, "street": "s"}, None]
    assert converted["count"] == -(2**63)
    assert converted["paid"] is False


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"amount": "150"}, "INVALID_FIELD_TYPE", "Field 'amount': expected number, got string"),
        ({"amount": True}, "INVALID_FIELD_TYPE", "Field 'amount': expected number, got boolean"),
        ({"amount": None}, "INVALID_FIELD_TYPE", "Field 'amount': expected number, got null"),
        ({"user_id": 5}, "INVALID_FIELD_TYPE", "Field 'user_id': expected string, got number"),
        ({"user_id": {}}, "INVALID_FIELD_TYPE", "Field 'user_id': expected string, got object"),
        ({"user_id": []}, "INVALID_FIELD_TYPE", "Field 'user_id': expected string, got array"),
        ({"paid": 1}, "INVALID_FIELD_TYPE", "Field 'paid': expected boolean, got number"),
        ({"count": "1"}, "INVALID_FIELD_TYPE", "Field 'count': expected integer, got string"),
        ({"count": False}, "INVALID_FIELD_TYPE", "Field 'count': expected integer, got boolean"),
        (
            {"count": 1.0},
            "INVALID_FIELD_TYPE",
            "Field 'count': expected integer, got number 1.0; write it without decimal point and exponent",
        ),
        (
            {"count": 2**63},
            "INVALID_FIELD_TYPE",
            "Field 'count': expected integer from -9223372036854775808 to 9223372036854775807, got one outside of it",
        ),
        (
            {"amount": 10**400},
            "INVALID_FIELD_TYPE",
            "Field 'amount': expected number in the range of 64-bit floats, got one outside of it",
        ),
        ({"timestamp": 1705314600}, "INVALID_FIELD_TYPE", "Field 'timestamp': expected timestamp, got number"),
        ({"timestamp": None}, "INVALID_FIELD_TYPE", "Field 'timestamp': expected timestamp, got null"),
        (
            {"timestamp": "yesterday"},
            "INVALID_TIMESTAMP",
            "Field 'timestamp': expected ISO 8601 timestamp such as 2024-01-15T10:30:00Z, got 'yesterday'",
        ),
        (
            {"user_id": "\ud800"},
            "INVALID_FIELD_TYPE",
            "Field 'user_id': expected string of whole Unicode characters, got string with a lone surrogate",
        ),
        ({"tags": "a"}, "INVALID_FIELD_TYPE", "Field 'tags': expected array, got string"),
        ({"tags": ["a", 1]}, "INVALID_FIELD_TYPE", "Field 'tags[1]': expected string, got number"),
        ({"scores": []}, "INVALID_FIELD_TYPE", "Field 'scores': expected object, got array"),
        ({"scores": {"x": "y"}}, "INVALID_FIELD_TYPE", "Field 'scores.x': expected number, got string"),
        ({"address": 5}, "INVALID_FIELD_TYPE", "Field 'address': expected object, got number"),
        ({"address": {"zip": "x"}}, "INVALID_FIELD_TYPE", "Field 'address.zip': expected integer, got string"),
        ({"address": {"zip": None}}, "INVALID_FIELD_TYPE", "Field 'address.zip': expected integer, got null"),
        ({"address": {}}, "MISSING_REQUIRED_FIELD", "Record is missing required field: address.zip"),
        (
            {"history": [{"zip": 1}, {"zip": 2, "sreet": "x"}]},
            "UNKNOWN_FIELD",
            "Unknown field 'history[1].sreet'; did you mean 'street'? known fields: street, zip",
        ),
        (
            {"cuont": 1},
            "UNKNOWN_FIELD",
            (
                "Unknown field 'cuont'; did you mean 'count'? known fields: "
                "address, amount, count, history, paid, scores, seen, tags, timestamp, user_id"
            ),
        ),
    ],
)
def test_refusal_names_the_field_what_was_expected_and_what_came(
    change: dict[str, Any], code: str, message: str
) -> None:
    assert refusal(RECORD | change) == (code, message)


@pytest.mark.parametrize("name", ["user_id", "amount", "timestamp"])
def test_missing_required_field_is_named(name: str) -> None:
    record = {key: value for key, value in RECORD.items() if key != name}
    assert refusal(record) == ("MISSING_REQUIRED_FIELD", f"Record is missing required field: {name}")


def test_missing_field_is_reported_before_an_unknown_one() -> None:
    assert refusal({"user_id": "u", "amonut": 1, "timestamp": RECORD["timestamp"]})[0] == "MISSING_REQUIRED_FIELD"


@pytest.mark.parametrize(("record", "kind"), [([], "array"), ("x", "string"), (None, "null"), (1, "number")])
def test_record_that_is_no_object_is_refused(record: object, kind: str) -> None:
    assert refusal(record) == ("INVALID_FIELD_TYPE", f"Record: expected object, got {kind}")


def test_messages_stay_short_whatever_came() -> None:
    for record in (
        RECORD | {"x" * 100_000: 1},
        RECORD | {"timestamp": "9" * 100_000},
        RECORD | {"scores": {"k" * 100_000: "x"}},
    ):
        assert len(refusal(record)[1]) < 500


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2024-01-15T10:30:00Z", AT),
        ("2024-01-15t10:30:00z", AT),
        ("2024-01-15T10:30Z", AT),
        ("2024-01-15 10:30:00", AT),
        ("2024-01-15T10:30:00", AT),
        ("2024-01-15T12:30:00+02:00", AT),
        ("2024-01-15T05:00:00-0530", AT),
        ("2024-01-15 10:30:00.25", AT + timedelta(milliseconds=250)),
        ("2024-01-15T10:30:00.123456Z", AT + timedelta(microseconds=123456)),
        ("2024-01-15T10:30:00.123456789Z", AT + timedelta(microseconds=123456)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999Z", datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_timestamp_is_converted_to_utc(text: str, instant: datetime) -> None:
    converted = VALIDATE(RECORD | {"timestamp": text})["timestamp"]
    assert converted == instant
    assert converted.tzinfo is UTC


def test_the_least_and_the_greatest_integer_are_taken() -> None:
    for count in (-(2**63), 2**63 - 1):
        assert VALIDATE(RECORD | {"count": count})["count"] == count


@pytest.mark.usefixtures("host_far_from_utc")
def test_timestamp_without_an_offset_is_utc_wherever_the_host_is() -> None:
    assert VALIDATE(RECORD | {"timestamp": "2024-01-15T10:30:00"})["timestamp"] == AT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "z",
        "2024-01-15",
        "2024-01-15x10:30:00Z",
        "20240115T103000Z",
        "2024-W03-1T10:30:00Z",
        "2024-02-30T10:30:00Z",
        "2024-01-15T10:30:60Z",
        "2024-01-15T10:30:00+25:00",
        "2024-01-15T10:30:00Z ",
        "10000-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "-001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-01:00",
        "2024-01-15T10:30:00\ud800",
        "\uff12\uff1024-01-15T10:30:00Z",
        "1705314600",
    ],
)
def test_what_is_no_timestamp_is_refused(text: str) -> None:
    assert refusal(RECORD | {"timestamp": text})[0] == "INVALID_TIMESTAMP"


@pytest.mark.parametrize("word", FLOAT_WORDS)
def test_words_for_infinity_and_nan_are_floats(word: str) -> None:
    converted = VALIDATE(RECORD | {"amount": word})["amount"]
    assert converted == FLOAT_WORDS[word] or math.isnan(converted) is math.isnan(FLOAT_WORDS[word]) is True


def test_integer_is_a_float_where_a_float_is_expected() -> None:
    assert type(VALIDATE(RECORD | {"amount": 150})["amount"]) is float


def test_fields_of_a_source_know_which_members_of_structs_are_required() -> None:
    assert source_fields(SOURCE) == FIELDS


@pytest.mark.parametrize(
    ("value", "kind"),
    [(None, "null"), (True, "boolean"), (0, "number"), (0.5, "number"), ("", "string"), ([], "array"), ({}, "object")],
)
def test_json_kinds_are_named_as_json_names_them(value: object, kind: str) -> None:
    assert json_kind(value) == kind


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None))
    | st.sampled_from(["2024-01-15T10:30:00Z", "inf", "0001-01-01T00:00:00+01:00"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(["zip", "street"]), inner, max_size=3)
    ),
    max_leaves=6,
)
RECORDS = (
    JSON
    | st.fixed_dictionaries({}, optional={field.name: JSON for field in FIELDS} | {"extra": st.none()})
    | st.fixed_dictionaries(
        dict.fromkeys(RECORD, st.just(0)) | {name: st.just(value) for name, value in RECORD.items()},
        optional={field.name: JSON for field in FIELDS[3:]},
    )
)


@given(RECORDS)
def test_any_json_is_refused_with_a_reason_or_encodes_as_avro_and_decodes_alike(record: object) -> None:
    try:
        converted = VALIDATE(record)
    except RecordError as error:
        error.message.encode()
        return
    decoded = wire.unframe(wire.frame(7, SCHEMA, converted), SCHEMA, None)
    assert repr(decoded) == repr(converted)


@given(
    st.datetimes(
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=11))])
    )
)
def test_every_instant_keeps_its_microseconds_through_avro(instant: datetime) -> None:
    try:
        expected = instant.astimezone(UTC)
    except OverflowError:
        assert refusal(RECORD | {"timestamp": instant.isoformat()})[0] == "INVALID_TIMESTAMP"
        return
    converted = VALIDATE(RECORD | {"timestamp": instant.isoformat(), "seen": instant.isoformat(" ")})
    decoded = wire.unframe(wire.frame(7, SCHEMA, converted), SCHEMA, None)
    assert decoded["timestamp"] == decoded["seen"] == expected


@given(st.lists(st.tuples(st.text(max_size=8), JSON), max_size=4))
def test_objects_with_any_names_are_refused_with_a_message_that_can_be_written(pairs: list[tuple[str, object]]) -> None:
    message = refusal(dict(pairs))[1]
    assert json.loads(json.dumps(message)) == message
