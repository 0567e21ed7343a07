import json
import os
import signal
import subprocess
from pathlib import Path

from examples.running import HEADRACE, System, clean_environment
from headrace.commands.tail import NO_VIEWS, fate_lines
from headrace.inspection.record_fates import Fate, Kind
from infra.kafka.clients import producer
from infra.process.exit_codes import ExitCode
from tests.headrace.commands.conftest import Headrace
from tests.headrace.test_applying import text, view, write
from tests.support.waiting import wait_until


def test_views_that_share_a_fate_share_a_line() -> None:
    row, failed = Fate(Kind.ROWS, 1), Fate(Kind.DEAD_LETTER, code="X", text="broken")
    assert fate_lines({"a@V1": row, "b@V1": failed, "c@V1": row}) == ["a@V1, c@V1: 1 row", "b@V1: X: broken"]
    assert fate_lines({}) == [NO_VIEWS]


def test_the_newest_records_are_shown_with_what_became_of_each(headrace: Headrace, system: System) -> None:
    paid = {"user_id": "tail", "amount": 1.0, "merchant": None, "timestamp": "2026-01-01T00:00:00Z"}
    refund = {**paid, "amount": -1.0}
    for record in (paid, refund):
        assert headrace("ingest", "transactions", "-", stdin=json.dumps(record)).exit_code == ExitCode.OK
    client = producer(system.kafka)
    client.produce("prod.source.transactions", b"no Avro")
    assert client.flush(20) == 0

    def lines() -> list[dict[str, object]]:
        done = headrace("tail", "transactions", "--no-follow", "-n", "3", "--json")
        assert done.exit_code == ExitCode.OK, done.output
        return [json.loads(line) for line in done.stdout.splitlines()]

    def outcomes() -> list[dict[str, str]]:
        return [{key: fate["kind"] for key, fate in line["views"].items()} for line in lines()]  # type: ignore[attr-defined]  # a dict

    late, dropped, failed = "late", "dropped", "dead letter"
    expected = [
        {"user_activity@V1": late, "user_amounts@V1": late},
        {"user_activity@V1": dropped, "user_amounts@V1": late},
        {"user_activity@V1": failed, "user_amounts@V1": failed},
    ]
    wait_until(lambda: outcomes() == expected)
    assert [line["record"] for line in lines()] == [paid, refund, None]
    shown = headrace("tail", "transactions", "--no-follow", "-n", "3").stdout
    assert "    user_activity@V1: dropped\n    user_amounts@V1: late\n" in shown
    assert "    user_activity@V1, user_amounts@V1: MALFORMED: expected the Confluent wire format" in shown


def test_nothing_in_a_record_is_a_command_to_the_terminal(headrace: Headrace) -> None:
    record = {"user_id": "a\x1b[2Jb\x9b2Jc", "amount": 1.0, "merchant": "größer", "timestamp": "2026-01-01T00:00:00Z"}
    assert headrace("ingest", "transactions", "-", stdin=json.dumps(record)).exit_code == ExitCode.OK
    shown = headrace("tail", "transactions", "--no-follow", "-n", "1").stdout
    assert ("größer" in shown, shown.replace("\n", "").isprintable()) == (True, True), shown


def test_an_unknown_source_is_told_with_those_there_are(headrace: Headrace) -> None:
    done = headrace("tail", "transaction", "--no-follow")
    assert (done.exit_code, done.stdout) == (ExitCode.FAILURE, "")
    assert "workspace prod has no stream source 'transaction'; known are: transactions" in done.stderr
    done = headrace("tail", "transactions", "--workspace", "empty")
    assert "nothing is applied to it; `headrace apply REPO` does" in done.stderr


def test_a_source_without_records_shows_nothing(headrace: Headrace, unique: str, tmp_path: Path) -> None:
    folder = str(write(tmp_path / "r", features=text(view())))
    assert headrace("apply", folder, "--workspace", unique).exit_code == ExitCode.OK
    done = headrace("tail", "events", "--workspace", unique, "--no-follow")
    assert (done.exit_code, done.stdout, done.stderr) == (ExitCode.OK, "", "")


def test_where_no_processor_ever_ran_that_is_told(headrace: Headrace, tmp_path: Path) -> None:
    done = headrace("tail", "transactions", "--no-follow", "-n", "0", "--data", str(tmp_path))
    assert done.exit_code == ExitCode.OK
    assert f"no processor has used {tmp_path}" in done.stderr


def test_what_comes_is_shown_until_ctrl_c_which_ends_it_quietly(headrace: Headrace, system: System) -> None:
    options = ("--data", str(system.data), "--bootstrap", system.kafka)
    process = subprocess.Popen(
        [*HEADRACE, "tail", "transactions", "-n", "1", "--json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(os.environ),
    )
    try:
        assert process.stdout is not None
        event = {"user_id": "live", "amount": 2.0, "timestamp": "2026-01-01T00:00:00Z"}
        headrace("ingest", "transactions", "-", stdin=json.dumps(event))
        while '"live"' not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
        assert (process.returncode, said) == (ExitCode.OK, "")
    finally:
        process.kill()
        process.wait()
