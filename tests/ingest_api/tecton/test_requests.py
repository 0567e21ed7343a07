import pytest

from ingest_api.ingestion.dialect import DOCUMENTED_LIMITS
from ingest_api.tecton.requests import parse_request
from schemas.errors import RequestError

WHOLE = b'{"workspaceName": "prod", "dryRun": false, "records": %s}'
ITEM = 'object such as {"record": {…}}'


def refusal(body: bytes) -> str:
    with pytest.raises(RequestError) as caught:
        parse_request(body, DOCUMENTED_LIMITS)
    return caught.value.message


@pytest.mark.parametrize(
    "body",
    [
        b'{"workspaceName": "prod", "dryRun": true, "records": {"a": [{"record": {"x": 1}}], "b": []}}',
        b'{"records": {"a": [ {"record" : {"x": 1}} ], "b": []}, "workspace_name": "prod", "dry_run": true}',
        b'{"workspace_name": "prod", "dryRun": true, "records": {"a": [{"record": {"x": 1}}], "b": []}}',
    ],
)
def test_both_spellings_are_understood(body: bytes) -> None:
    call = parse_request(body, DOCUMENTED_LIMITS)
    assert (call.workspace, call.dry_run) == ("prod", True)
    assert {name: [bytes(text) for text in texts] for name, texts in call.records.items()} == {
        "a": [b'{"x": 1}'],
        "b": [],
    }


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"dryRun": true, "records": {}}', "Request is missing required field: workspaceName"),
        (b'{"workspaceName": "p", "records": {}}', "Request is missing required field: dryRun"),
        (b'{"workspaceName": "p", "dryRun": true}', "Request is missing required field: records"),
        (
            b'{"workspaceName": 1, "dryRun": true, "records": {"a": []}}',
            "Field 'workspaceName': expected string, got number",
        ),
        (
            b'{"workspace_name": "p", "dry_run": 1, "records": {"a": []}}',
            "Field 'dry_run': expected boolean, got number",
        ),
        (
            b'{"workspaceName": "p", "dryRun": true, "dry_run": true, "records": {}}',
            "Field 'dryRun' comes more than once in the request, also as 'dry_run'; send it once",
        ),
        (
            b'{"workspaceName": "p", "dryrun": true, "records": {}}',
            "Unknown field 'dryrun' in the request; did you mean 'dry_run'?",
        ),
        (WHOLE % b"[]", "Field 'records': expected object of arrays by stream source, got array"),
        (WHOLE % b"{}", "Field 'records': expected at least 1 stream source, got 0"),
        (
            WHOLE % b'{"a": [], "a": []}',
            "Field 'records': stream source 'a' comes more than once; send all of its records in one array",
        ),
        (WHOLE % b'{"a": [1]}', f"Field 'records.a[0]': expected {ITEM}, got number"),
        (
            WHOLE % b'{"a": [{"record": {}}, {}]}',
            f"Field 'records.a[1]' is missing required field: record; expected {ITEM}",
        ),
        (WHOLE % b'{"a": [{"x": 1}]}', f"Unknown field 'x' in records.a[0]; expected {ITEM}"),
        (
            WHOLE % b'{"a": [{"record": {"x": 1}, "record": {"x": 2}}]}',
            "Field 'record' comes more than once in records.a[0]; send it once",
        ),
        (
            WHOLE % (b'{"a": [' + b",".join([b'{"record": {}}'] * 11) + b"]}"),
            (
                "Too many records for stream source 'a': at most 10 are accepted in a request, got 11; "
                "send several requests"
            ),
        ),
    ],
)
def test_refusal_says_what_was_expected_and_what_came(body: bytes, message: str) -> None:
    assert refusal(body) == message


def test_there_is_no_limit_on_sources() -> None:
    sources = b",".join(b'"s%d": [{"record": {}}]' % number for number in range(50))
    assert len(parse_request(WHOLE % (b"{%s}" % sources), DOCUMENTED_LIMITS).records) == 50
