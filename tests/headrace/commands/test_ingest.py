import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headrace.api_client import ApiClient
from infra.process.exit_codes import ExitCode
from ingest_api.ingestion.dialect import DOCUMENTED_LIMITS
from schemas.errors import UnavailableError
from tests.headrace.commands.conftest import Headrace


def event(number: int = 0, **fields: Any) -> dict[str, Any]:
    return {"user_id": f"u{number}", "amount": 1.5, "timestamp": datetime.now(UTC).isoformat()} | fields


def test_lines_go_in_by_the_batch_and_are_counted(headrace: Headrace, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text("\n".join(json.dumps(event(number)) for number in range(25)) + "\n\n", encoding="utf-8")
    done = headrace("ingest", "transactions", str(file))
    assert done.exit_code == ExitCode.OK, done.output
    count, view, *_ = done.stdout.splitlines()
    assert count.split() == ["25", "ingested"]
    assert view.split() == ["view", "new"]


def test_an_array_on_standard_input_goes_in(headrace: Headrace) -> None:
    done = headrace("ingest", "transactions", "-", "--json", stdin=json.dumps([event(1), event(2)], indent=2))
    assert json.loads(done.stdout) == {
        "outcomes": {"ingested": 2},
        "views": {"user_activity@V1": {"new": 2}, "user_amounts@V1": {"new": 2}},
        "notices": [],
        "problems": [],
    }


def test_what_was_ingested_can_be_read_at_once(headrace: Headrace) -> None:
    assert headrace("ingest", "transactions", "-", stdin=json.dumps(event(user_id="fresh"))).exit_code == 0
    answer = json.loads(headrace("get", "fraud_detection", "user_id=fresh", "--json").stdout)
    values = dict(
        zip((each["name"] for each in answer["metadata"]["features"]), answer["result"]["features"], strict=True)
    )
    assert values["user_activity.payments"] == "1"
    assert values["user_activity.spent"] == 1.5


def test_failed_records_are_named_by_number_and_the_others_go_in(headrace: Headrace) -> None:
    events = [event(number) for number in range(12)]
    events[10]["amount"] = "much"
    del events[11]["timestamp"]
    done = headrace("ingest", "transactions", "-", stdin="\n".join(map(json.dumps, events)))
    assert done.exit_code == ExitCode.FAILURE
    assert "10  ingested" in done.stdout
    assert "line 11: INVALID_FIELD_TYPE: Field 'amount'" in done.stderr
    assert "line 12: MISSING_REQUIRED_FIELD" in done.stderr


def test_an_unknown_source_fails_each_record(headrace: Headrace) -> None:
    done = headrace("ingest", "nothing", "-", "--json", stdin=json.dumps(event()))
    assert done.exit_code == ExitCode.FAILURE
    assert json.loads(done.stdout)["outcomes"] == {"INVALID_ARGUMENT": 1}


def test_a_dry_run_writes_nothing(headrace: Headrace) -> None:
    done = headrace("ingest", "transactions", "-", "--dry-run", stdin=json.dumps(event(user_id="dry")))
    assert done.exit_code == ExitCode.OK
    assert done.stdout.splitlines()[0].split(maxsplit=1) == ["1", "checked, nothing written"]
    rows = dict(line.split() for line in done.stdout.splitlines()[2:])
    assert rows == {"user_activity@V1": "1", "user_amounts@V1": "1"}
    answer = json.loads(headrace("get", "fraud_detection", "user_id=dry", "--json").stdout)
    assert set(answer["result"]["features"]) == {None}


@pytest.mark.parametrize("text", ['{"user_id": "u1"', "[1, 2", '[{"user_id": }]'])
def test_a_file_that_is_not_json_is_named(headrace: Headrace, tmp_path: Path, text: str) -> None:
    file = tmp_path / "broken"
    file.write_text(text, encoding="utf-8")
    done = headrace("ingest", "transactions", str(file))
    assert done.exit_code == ExitCode.FAILURE
    assert str(file) in done.stderr


@pytest.mark.parametrize("value", [b"NaN", b"-Infinity", b"1e999", b'"\\ud800"', b'"\xff"', b"[" * 5000 + b"]" * 5000])
@pytest.mark.parametrize("array", [False, True])
def test_what_json_does_not_have_is_named_with_file_and_line(
    headrace: Headrace, tmp_path: Path, value: bytes, array: bool
) -> None:
    good = json.dumps(event()).encode()
    bad = b'{"user_id": %s}' % value
    file = tmp_path / "broken"
    file.write_bytes(b"\n[%s,\n%s]" % (good, bad) if array else b"\n%s\n%s\n%s" % (good, bad, good))
    done = headrace("ingest", "transactions", str(file))
    assert (done.exit_code, type(done.exception)) == (ExitCode.FAILURE, SystemExit)
    line = 2 if array and b"\xff" not in value else 3  # an array's records are named by the line where it begins
    assert f"{file}, line {line}: " in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_went_in_before_a_broken_line_is_counted(headrace: Headrace) -> None:
    text = "\n".join([*(json.dumps(event(number)) for number in range(10)), "{"])
    done = headrace("ingest", "transactions", "-", stdin=text)
    assert done.exit_code == ExitCode.FAILURE
    assert done.stdout.splitlines()[0].split() == ["10", "ingested"]
    assert "line 11" in done.stderr
    assert "what comes before it was sent (10 records), it and what follows were not" in done.stderr


def test_what_comes_before_a_broken_line_goes_in_also_where_it_fills_no_request(headrace: Headrace) -> None:
    text = "\n".join([json.dumps(event(user_id="early")), "{", json.dumps(event())])
    done = headrace("ingest", "transactions", "-", stdin=text)
    assert done.stdout.splitlines()[0].split() == ["1", "ingested"]
    assert "what comes before it was sent (1 record)" in done.stderr


def test_a_table_is_refused_and_nothing_is_sent(headrace: Headrace, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text("user_id,amount,timestamp\nu1,2.5,2026-01-01T00:00:00Z\n", encoding="utf-8")
    done = headrace("ingest", "transactions", str(file))
    assert done.exit_code == ExitCode.FAILURE
    assert "looks like CSV" in done.stderr
    assert "nothing was sent" in done.stderr


def test_what_is_replaced_equal_late_ahead_or_dropped_is_said_by_view(headrace: Headrace) -> None:
    at = datetime.now(UTC)
    text = [
        event(user_id="twice", timestamp=at.isoformat()),
        event(user_id="twice", timestamp=at.isoformat(), amount=2.5),
        event(user_id="twice", timestamp=at.isoformat(), amount=2.5),
        event(user_id="old", timestamp=(at - timedelta(days=4000)).isoformat()),
        event(user_id="ahead", timestamp=(at + timedelta(hours=1)).isoformat()),
        event(user_id="refund", amount=-1.0),
        event(user_id="local", timestamp=at.replace(tzinfo=None).isoformat()),
    ]
    told = json.loads(headrace("ingest", "transactions", "-", "--json", stdin="\n".join(map(json.dumps, text))).stdout)
    assert told["outcomes"] == {"ingested": 7}
    assert told["views"] == {
        "user_activity@V1": {"new": 3, "replaced": 1, "equal": 1, "late": 1, "future": 1, "dropped": 1},
        "user_amounts@V1": {"new": 4, "replaced": 1, "equal": 1, "late": 1, "future": 1},
    }
    kinds = [(each["about"], each["kind"], each["count"]) for each in told["notices"]]
    assert kinds == [
        ("source transactions", "without_zone", 1),
        *(
            (view, kind, 1)
            for view in ("user_activity@V1", "user_amounts@V1")
            for kind in ("replaced", "late", "future")
        ),
    ]
    shown = headrace("ingest", "transactions", "-", stdin=json.dumps(text[3])).stdout
    assert "user_activity@V1: 1 row late: in no feature" in shown


def test_without_a_key_it_says_where_one_was_sought(headrace: Headrace, tmp_path: Path) -> None:
    done = headrace("ingest", "transactions", "-", "--data", str(tmp_path), stdin="{}")
    assert done.exit_code == ExitCode.FAILURE
    assert f"{tmp_path / 'admin.key'} cannot be read" in done.stderr


def test_a_wrong_key_is_refused(headrace: Headrace, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("wrong\n", encoding="ascii")
    done = headrace("ingest", "transactions", "-", "--key-file", str(tmp_path / "key"), stdin=json.dumps(event()))
    assert done.exit_code == ExitCode.FAILURE
    assert "answered 401" in done.stderr
    assert "`headrace key list` shows valid ones" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_server_that_is_away_is_named(headrace: Headrace) -> None:
    done = headrace("ingest", "transactions", "-", "--ingest-port", "1", stdin=json.dumps(event()))
    assert done.exit_code == ExitCode.UNAVAILABLE
    assert "http://127.0.0.1:1 does not answer" in done.stderr


def test_a_server_that_ends_in_the_middle_of_a_file_is_named_with_how_far_it_came(
    headrace: Headrace, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = ApiClient.post
    calls = 0

    def failing(client: ApiClient, path: str, document: object) -> Any:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise UnavailableError("gone")
        return post(client, path, document)

    monkeypatch.setattr(ApiClient, "post", failing)
    most = DOCUMENTED_LIMITS.records_per_source
    lines = [json.dumps(event(number)) for number in range(most + 1)]
    done = headrace("ingest", "transactions", "-", stdin="\n".join(["", *lines]))
    assert done.exit_code == ExitCode.UNAVAILABLE
    assert f"what comes before line {most + 2} was answered ({most} records), of" in done.stderr
    assert done.stdout.split()[:2] == [str(most), "ingested"]
