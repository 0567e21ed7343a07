import json
from collections.abc import Mapping, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_api.ingestion.dialect import DOCUMENTED_LIMITS
from ingest_api.ingestion.json_body import decode_record
from ingest_api.snowflake.requests import check_content_type, parse_request
from schemas.errors import RecordError, RequestError
from schemas.limits import MAX_INGEST_RECORD_BYTES


def decoded(records: Mapping[str, Sequence[msgspec.Raw]]) -> dict[str, list[object]]:
    return {name: [decode_record(text, MAX_INGEST_RECORD_BYTES) for text in texts] for name, texts in records.items()}


def refusal(body: bytes) -> str:
    with pytest.raises(RequestError) as caught:
        parse_request(body, DOCUMENTED_LIMITS)
    return caught.value.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "Request body is empty; expected a JSON object with the field records"),
        (b"{", "Request body is not valid JSON: Input data was truncated"),
        (b"\xff", "Request body is not UTF-8: invalid start byte at byte 0"),
        (b'{"records": {"a": [{"x": "\xff"}]}}', "Request body is not UTF-8: invalid start byte at byte 26"),
        (b"[]", "Request body: expected object, got array"),
        (b"null", "Request body: expected object, got null"),
        (b"1e999", "Request body: expected object, got number"),
        (b'{"records": ' + b"[" * 100_000, "Request body nests too deeply"),
        (b'{"records":{"a":[' + b"[" * 100_000, "Request body nests too deeply"),
        (b"{}", "Request is missing required field: records"),
        (b'{"dry_run": true}', "Request is missing required field: records"),
        (b'{"records": []}', "Field 'records': expected object of arrays by stream source, got array"),
        (b'{"records": null}', "Field 'records': expected object of arrays by stream source, got null"),
        (b'{"records": {}}', "Field 'records': expected 1 to 2 stream sources, got 0"),
        (
            b'{"records": {"a": [], "b": [], "c": []}}',
            "Too many stream sources: at most 2 are accepted in a request, got 3; send several requests",
        ),
        (b'{"records": {"a": {}}}', "Field 'records.a': expected array of records, got object"),
        (b'{"records": {"a": 1e999}}', "Field 'records.a': expected array of records, got number"),
        (
            b'{"records": {"a": [' + b",".join([b"{}"] * 11) + b"]}}",
            (
                "Too many records for stream source 'a': at most 10 are accepted in a request, got 11; "
                "send several requests"
            ),
        ),
        (b'{"records": {"a": []}, "dry_run": "yes"}', "Field 'dry_run': expected boolean, got string"),
        (b'{"records": {"a": []}, "dry_run": null}', "Field 'dry_run': expected boolean, got null"),
        (
            b'{"records": {"a": []}, "include_diagnostics": 1}',
            "Field 'include_diagnostics': expected boolean, got number",
        ),
        (b'{"records": {"a": []}, "dryrun": true}', "Unknown field 'dryrun' in the request; did you mean 'dry_run'?"),
        (
            b'{"records": {"a": []}, "x": true}',
            "Unknown field 'x' in the request; known fields: records, dry_run, include_diagnostics",
        ),
    ],
)
def test_refusal_says_what_was_expected_and_what_came(body: bytes, message: str) -> None:
    assert refusal(body) == message


@pytest.mark.parametrize(
    "content_type", ["", "application/json", "Application/JSON; charset=utf-8", "application/x-www-form-urlencoded"]
)
def test_json_nothing_and_the_form_that_curl_claims_are_read_as_json(content_type: str) -> None:
    check_content_type(content_type)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", "application/jsonl", "multipart/form-data; x"]
)
def test_another_content_type_is_refused(content_type: str) -> None:
    with pytest.raises(RequestError, match=f"Content-Type: expected application/json, got '{content_type}'"):
        check_content_type(content_type)


@pytest.mark.parametrize(
    "body",
    [
        b'{"records": {"a": [1]}, "records": {"a": [1]}}',
        b'{"records": {"a": [1]}, "records": {"b": [2]}}',
        b'{"records": {"a": [1]},\n "dry_run": true , "rec\\u006frds" : {"a": [1, 2]}}',
    ],
)
def test_field_that_comes_twice_is_refused(body: bytes) -> None:
    assert refusal(body) == "Field 'records' comes more than once in the request; send it once"


def test_flag_that_comes_twice_is_refused_whatever_its_values() -> None:
    for first, second in ((b"1", b"12"), (b"12", b"1"), (b"true", b"false"), (b"true", b"true")):
        body = b'{"dry_run": %s, "records": {"a": []}, "dry_run": %s}' % (first, second)
        assert refusal(body) == "Field 'dry_run' comes more than once in the request; send it once"


@pytest.mark.parametrize(
    "sources",
    [b'"a": [1], "a": [2]', b'"a":[1],"a":[1]', b'"a": [], "b": [], "\\u0061": [1]', b'"b": [], "a":[],"a":[]'],
)
def test_source_that_comes_twice_is_refused_since_records_would_be_lost(sources: bytes) -> None:
    message = "Field 'records': stream source 'a' comes more than once; send all of its records in one array"
    assert refusal(b'{"records": {%s}}' % sources) == message


@pytest.mark.parametrize(
    ("text", "half"),
    [
        (rb"\ud800", rb"\ud800"),
        (rb"\uDFFF abc", rb"\uDFFF"),
        (rb"\ud83d\ude00 \\\\ud800 \uDBFFabcdef", rb"\uDBFF"),
        (rb"\ud800\ud83d\ude00", rb"\ud800"),
    ],
)
def test_half_of_a_surrogate_pair_is_named(text: bytes, half: bytes) -> None:
    body = b'{"records": {"a": [{"x": "' + text + b'"}]}}'
    message = refusal(body)
    assert message == (
        f"Request body is not valid JSON: '{half.decode()}' at byte {body.rindex(half)} is half "
        f"of a surrogate pair, which is no character; send both halves, or U+FFFD in its place"
    )


SOURCE_NAMES = st.sampled_from(["a", "b", "records", '"', "\\", '\\"', "é", ", "])


@given(
    st.lists(st.tuples(SOURCE_NAMES, st.lists(st.text(max_size=3), max_size=2)), min_size=1, max_size=2),
    st.sampled_from([(",", ":"), (" , ", " : "), (",\n", ":\t")]),
    st.booleans(),
)
def test_sources_are_refused_exactly_if_one_comes_twice(
    members: list[tuple[str, list[str]]], separators: tuple[str, str], ascii_only: bool
) -> None:
    comma, colon = separators
    texts = [
        json.dumps(name, ensure_ascii=ascii_only) + colon + json.dumps(records, separators=separators)
        for name, records in members
    ]
    body = f'{{"records"{colon}{{{comma.join(texts)}}} }}'.encode()
    if len({name for name, _ in members}) < len(members):
        assert "comes more than once" in refusal(body)
    else:
        found = parse_request(body, DOCUMENTED_LIMITS).records
        assert decoded(found) == dict(members)


def test_request_keeps_records_as_they_were_sent() -> None:
    request = parse_request(
        b' {"include_diagnostics" : true , "records": {"a": [ {"x": 1}, 2 ], "b": []} } ', DOCUMENTED_LIMITS
    )
    assert decoded(request.records) == {
        "a": [{"x": 1}, 2],
        "b": [],
    }
    assert request.options.include_diagnostics
    assert not request.dry_run


@given(st.binary(max_size=60) | st.from_regex(rb'\{"records": ?\{"[a-z]*": ?\[.*\]\}\}', fullmatch=True))
def test_any_body_is_parsed_or_refused_with_a_reason(body: bytes) -> None:
    try:
        request = parse_request(body, DOCUMENTED_LIMITS)
    except RequestError as error:
        error.message.encode()
        return
    for texts in request.records.values():
        for text in texts:
            try:
                decode_record(text, MAX_INGEST_RECORD_BYTES)
            except RecordError as error:
                error.message.encode()
