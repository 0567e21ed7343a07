import json
from datetime import UTC, datetime, timedelta

from infra.process.exit_codes import ExitCode
from tests.headrace.commands.conftest import Headrace


def an_hour_ago() -> str:
    return (datetime.now(UTC) - timedelta(hours=1)).isoformat()


def test_features_are_shown_with_status_and_effective_time(headrace: Headrace) -> None:
    done = headrace("get", "fraud_detection", "user_id=nobody")
    assert done.exit_code == ExitCode.OK, done.output
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["feature", "value", "status", "effective", "time"]
    assert [line[:2] for line in lines[1:5]] == [
        ["user_activity.payments", "MISSING_DATA"],
        ["user_activity.spent", "MISSING_DATA"],
        ["user_amounts.amount_mean_1h_10m", "MISSING_DATA"],
        ["user_amounts.merchants", "MISSING_DATA"],
    ]
    assert all(line[2].endswith("Z") for line in lines[1:5])


def test_it_says_why_a_value_is_missing_once_for_all_features_of_which_it_is_true(headrace: Headrace) -> None:
    done = headrace("get", "fraud_detection", "user_id=nobody")
    assert done.stdout.splitlines()[5:] == [
        f"{names}: no value: there is no event of these join keys among those of the last {kept}, which the view keeps"
        for names, kept in (
            ("user_activity.payments, user_activity.spent", "7d1h5m"),
            ("user_amounts.amount_mean_1h_10m, user_amounts.merchants", "8d1h10m"),
        )
    ]


def test_a_value_is_no_markup(headrace: Headrace) -> None:
    record = {"user_id": "markup", "amount": 1.0, "merchant": "[/b]\x1b[2J", "timestamp": an_hour_ago()}
    assert headrace("ingest", "transactions", "-", stdin=json.dumps(record)).exit_code == ExitCode.OK
    done = headrace("get", "fraud_detection", "user_id=markup")
    assert done.exit_code == ExitCode.OK, done.output
    assert '["[/b]\\u001b[2J"]' in done.stdout


def test_json_is_the_answer_of_the_api(headrace: Headrace) -> None:
    answer = json.loads(headrace("get", "fraud_detection", "user_id=nobody", "--json").stdout)
    assert answer["result"] == {"features": [None] * 4}
    first = answer["metadata"]["features"][0]
    assert first.keys() == {"name", "effectiveTime", "dataType", "status", "missing"}
    assert first["missing"]["reason"] == "NO_EVENTS"


def test_an_unknown_service_is_named(headrace: Headrace) -> None:
    done = headrace("get", "nothing", "user_id=u1")
    assert done.exit_code == ExitCode.FAILURE
    assert "answered 404: Unable to query FeatureService nothing" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_workspace_that_is_not_there_is_told_with_what_makes_it(headrace: Headrace) -> None:
    done = headrace("get", "fraud_detection", "user_id=u1", "--workspace", "nowhere")
    assert done.exit_code == ExitCode.FAILURE
    assert "there is no such workspace; `headrace apply` makes it" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_missing_join_key_is_named(headrace: Headrace) -> None:
    done = headrace("get", "fraud_detection")
    assert done.exit_code == ExitCode.FAILURE
    assert "answered 400: Missing required join key: user_id" in done.stderr


def test_a_join_key_without_value_is_wrong_usage(headrace: Headrace) -> None:
    done = headrace("get", "fraud_detection", "u1")
    assert done.exit_code == ExitCode.USAGE
    assert "join key 'u1': expected NAME=VALUE" in done.stderr
