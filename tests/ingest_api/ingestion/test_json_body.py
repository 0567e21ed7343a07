import msgspec
import pytest

from ingest_api.ingestion.json_body import (
    body_fields,
    decode_record,
    flag_of,
    items_of,
    kind_of,
    members_of,
    repeated_name,
    text_of,
)
from schemas.errors import RecordError, RequestError

LIMIT = 200


def raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ('"' + "x" * LIMIT + '"', "RECORD_TOO_LARGE", f"Record has {LIMIT + 2} bytes, at most {LIMIT} are accepted"),
        (
            '{"a": 1, "b": {"c": 1e999}}',
            "INVALID_FIELD_TYPE",
            "Field 'b': expected number in the range of 64-bit floats, got one outside of it",
        ),
        (
            "[1e999]",
            "INVALID_FIELD_TYPE",
            "Record: expected number in the range of 64-bit floats, got one outside of it",
        ),
    ],
)
def test_record_that_cannot_be_read_is_refused_by_itself(text: str, code: str, message: str) -> None:
    with pytest.raises(RecordError) as caught:
        decode_record(raw(text), LIMIT)
    assert (caught.value.code, caught.value.message) == (code, message)


def test_a_record_that_nests_too_deeply_is_refused_by_itself() -> None:
    with pytest.raises(RecordError, match="Record nests too deeply"):
        decode_record(raw("[" * 100_000 + "]" * 100_000), 1_000_000)


def test_a_record_as_long_as_its_limit_is_read() -> None:
    assert decode_record(raw('"' + "x" * (LIMIT - 2) + '"'), LIMIT) == "x" * (LIMIT - 2)


def test_a_body_has_the_fields_of_its_dialect_and_those_that_it_needs() -> None:
    assert body_fields(b'{"b": 1}', ("a", "b"), ("b",)) == {"b": msgspec.Raw(b"1")}
    for body, message in (
        (b"", "Request body is empty; expected a JSON object with the field alpha"),
        (b'{"alhpa": 1}', "Unknown field 'alhpa' in the request; did you mean 'alpha'?"),
        (b'{"x": 1}', "Unknown field 'x' in the request; known fields: alpha, beta"),
        (b'{"alpha": 1}', "Request is missing required field: beta"),
        (b'{"alpha": 1, "alpha": 1}', "Field 'alpha' comes more than once in the request; send it once"),
    ):
        with pytest.raises(RequestError) as refused:
            body_fields(body, ("alpha", "beta"), ("alpha", "beta"))
        assert refused.value.message == message


def test_what_is_of_another_kind_is_named_with_its_place() -> None:
    for read, message in (
        (lambda: members_of(raw("[]"), "a.b", "object of things"), "Field 'a.b': expected object of things, got array"),
        (lambda: items_of(raw("{}"), "a", "array of things"), "Field 'a': expected array of things, got object"),
        (lambda: flag_of({"a": raw("1")}, "a"), "Field 'a': expected boolean, got number"),
        (lambda: text_of(raw(" null"), "a"), "Field 'a': expected string, got null"),
    ):
        with pytest.raises(RequestError) as refused:
            read()
        assert refused.value.message == message


def test_parts_are_read_as_they_were_sent() -> None:
    assert members_of(raw('{"a": 1e999}'), "x", "object") == {"a": msgspec.Raw(b"1e999")}
    assert items_of(raw("[ 1, {}]"), "x", "array") == [msgspec.Raw(b"1"), msgspec.Raw(b"{}")]
    assert [flag_of({"a": raw(text)}, "a") for text in ("true", " false ")] == [True, False]
    assert not flag_of({}, "a")
    assert text_of(raw('"\\u0061b"'), "x") == "ab"


def test_a_name_that_comes_twice_is_found_however_it_is_written() -> None:
    for text, name in (
        ('{"a": 1, "a": 2}', "a"),
        ('{"a": [1], "\\u0061" : [1] }', "a"),
        ('{"a": {"b": 1}, "b": 2}', None),
    ):
        assert repeated_name(text.encode(), members_of(raw(text), "x", "object")) == name


@pytest.mark.parametrize(
    ("text", "kind"),
    [("{}", "object"), (" []", "array"), ('"x"', "string"), ("true", "boolean"), ("null", "null"), ("-1", "number")],
)
def test_kinds_have_the_names_of_json(text: str, kind: str) -> None:
    assert kind_of(text.encode()) == kind
