import json
from pathlib import Path

from examples.running import System
from infra.kafka.clients import producer
from infra.process.exit_codes import ExitCode
from tests.headrace.commands.conftest import Headrace
from tests.headrace.test_applying import text, view, write
from tests.support.waiting import wait_until


def test_a_source_shows_its_newest_events_and_dead_letters(headrace: Headrace, system: System) -> None:
    event = {"user_id": "describe", "amount": 1.0, "timestamp": "2026-01-01T00:00:00Z"}
    assert headrace("ingest", "transactions", "-", stdin=json.dumps(event)).exit_code == ExitCode.OK
    client = producer(system.kafka)
    client.produce("prod.source.transactions", b"no Avro")
    assert client.flush(20) == 0
    wait_until(
        lambda: json.loads(headrace("describe", "transactions", "--json").stdout)["sources"][0]["dead_letters"] > 0
    )
    (source,) = json.loads(headrace("describe", "transactions", "--json").stdout)["sources"]
    assert source["records"] >= 2
    assert [each["record"] for each in source["newest"]][-2:] == [{**event, "merchant": None}, None]
    assert source["newest"][-1]["problem"].startswith("expected the Confluent wire format")
    shown = headrace("describe", "transactions").stdout
    for part in ("stream source transactions", "newest events", '"user_id":"describe"', "MALFORMED", "StreamSource("):
        assert part in shown


def test_a_view_shows_its_rows_online_its_features_and_its_text(headrace: Headrace) -> None:
    event = {"user_id": "describe-view", "amount": 1.0, "timestamp": "2026-01-01T00:00:00Z"}
    headrace("ingest", "transactions", "-", stdin=json.dumps(event))
    shown = headrace("describe", "user_amounts@V1")
    assert shown.exit_code == ExitCode.OK, shown.output
    for part in ("feature view user_amounts@V1", "last(n=3)", "8 days 1 hour 10 minutes", "def user_amounts(record):"):
        assert part in shown.stdout
    (found,) = json.loads(headrace("describe", "user_amounts", "--json").stdout)["views"]
    assert found["online_rows"]["is_all"] is True
    assert len(found["online_rows"]["partitions"]) == 4


def test_where_the_data_folder_is_not_here_rows_are_unknown(headrace: Headrace, tmp_path: Path) -> None:
    shown = headrace("describe", "user_amounts", "--data", str(tmp_path / "none"))
    assert shown.exit_code == ExitCode.OK
    assert "rows online   unknown here" in shown.stdout


def test_a_service_shows_what_it_answers(headrace: Headrace) -> None:
    shown = headrace("describe", "fraud_detection").stdout
    assert "headrace get fraud_detection user_id=..." in shown
    assert "user_amounts.merchants" in shown


def test_a_source_without_records_is_described(headrace: Headrace, unique: str, tmp_path: Path) -> None:
    folder = str(write(tmp_path / "r", features=text(view())))
    assert headrace("apply", folder, "--workspace", unique).exit_code == ExitCode.OK
    source, *_ = json.loads(headrace("list", "sources", "--workspace", unique, "--json").stdout)["sources"]
    shown = headrace("describe", source["name"], "--workspace", unique)
    assert shown.exit_code == ExitCode.OK, shown.output
    assert "records       0 in Kafka now" in shown.stdout
    assert "newest" not in shown.stdout


def test_an_unknown_name_is_told_with_one_like_it(headrace: Headrace) -> None:
    done = headrace("describe", "transaction")
    assert (done.exit_code, done.stdout) == (ExitCode.FAILURE, "")
    assert "workspace prod has nothing named 'transaction'; did you mean transactions?" in done.stderr


def test_a_workspace_without_definitions_is_told(headrace: Headrace) -> None:
    done = headrace("describe", "transactions", "--workspace", "empty")
    assert done.exit_code == ExitCode.FAILURE
    assert "workspace empty: nothing applied yet; `headrace apply REPO` does" in done.stderr
