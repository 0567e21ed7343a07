import json
import os
import pty
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from examples.running import System
from headrace.cli import main
from infra.kafka.clients import producer
from infra.process.exit_codes import ExitCode
from schemas.avro import wire
from schemas.avro.schema import parse, source_schema
from schemas.messages.updates import PLAN_HEADER, plan_header
from schemas.topics import source_topic
from schemas.types import Field, Float64, String, Timestamp
from tests.headrace.commands.conftest import Headrace
from tests.headrace.test_applying import text, view, write
from tests.support.waiting import wait_until

ORDER = parse(
    source_schema(
        "orders",
        (Field("user_id", String), Field("order_id", String), Field("amount", Float64), Field("at", Timestamp)),
    )
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "r", features=text(view()))


def run(bootstrap: str, workspace: str, folder: Path, *flags: str) -> Result:
    arguments = ["apply", str(folder), "--bootstrap", bootstrap, "--workspace", workspace, *flags]
    return CliRunner().invoke(main, arguments)


def test_it_says_what_it_did_and_where_to_write(bootstrap: str, unique: str, folder: Path) -> None:
    done = run(bootstrap, unique, folder)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[:2] == ["  + stream source events", "  + feature view spending@V1"]
    assert lines[2].startswith(f"workspace {unique}: 2 changes applied as plan ")
    assert lines[3].startswith(f"  write to events: topic {source_topic(unique, 'events')}, schema id ")
    assert run(bootstrap, unique, folder).stdout == f"workspace {unique}: nothing to change\n"


def test_a_dry_run_shows_and_applies_nothing(bootstrap: str, unique: str, folder: Path) -> None:
    done = run(bootstrap, unique, folder, "--dry-run")
    assert done.stdout.splitlines()[-1] == f"workspace {unique}: 2 changes, not applied (--dry-run)"
    assert json.loads(run(bootstrap, unique, folder, "--dry-run", "--json").stdout)["plan"] is None


def test_refused_changes_are_all_shown_with_their_reasons(bootstrap: str, unique: str, folder: Path) -> None:
    assert run(bootstrap, unique, folder).exit_code == 0
    write(folder, features=text(view(days=2), view("other"), more=', Field("x", String)'))
    refused = run(bootstrap, unique, folder)
    assert refused.exit_code == ExitCode.FAILURE
    assert refused.stdout.splitlines() == [
        "  ~ stream source events: x",
        "      refused: fields may only be added, and only with required=False; make a new source for any other change",
        "  + feature view other@V1",
        (
            "      note: starts empty: its windows are full after 1d, or once the events of that time were sent again, "
            "which replace themselves"
        ),
        "  ~ feature view spending@V1: features (+amount_sum_2d_continuous, -amount_sum_1d_continuous), horizon",
        "      refused: an applied version never changes in place; give the view a new version",
        f"workspace {unique}: 2 of 3 changes refused, nothing applied",
    ]
    document = run(bootstrap, unique, folder, "--json")
    assert document.exit_code == ExitCode.FAILURE
    found = json.loads(document.stdout)
    assert (found["plan"], found["refused"], len(found["changes"])) == (None, 2, 3)
    assert [bool(change["problem"]) for change in found["changes"]] == [True, False, True]


def test_a_removal_is_shown_with_what_is_lost_and_needs_the_flag(bootstrap: str, unique: str, folder: Path) -> None:
    write(folder, features=text(view(), view("old")))
    assert run(bootstrap, unique, folder).exit_code == 0
    write(folder, features=text(view()))
    refused = run(bootstrap, unique, folder)
    assert refused.exit_code == ExitCode.FAILURE
    lost = (
        "features amount_sum_1d_continuous; it is still computed for 7 days of running time, in which the same "
        "definition takes it up again without a gap; then its online state is deleted"
    )
    problem = (
        f"to remove it, run `headrace apply {folder} --allow-removals`; with --allow-removals=now nothing is kept "
        "(`headrace up` takes both, too)"
    )
    assert refused.stdout.splitlines() == [
        "  - feature view old@V1",
        f"      lost: {lost}",
        f"      refused: {problem}",
        f"workspace {unique}: 1 of 1 change refused, nothing applied",
    ]
    assert run(bootstrap, unique, folder, "--dry-run").exit_code == ExitCode.FAILURE
    (change,) = json.loads(run(bootstrap, unique, folder, "--dry-run", "--allow-removals", "--json").stdout)["changes"]
    assert (change["kind"], change["problem"], change["lost"]) == ("removed", None, lost)
    arguments = ["apply", "--allow-removals", str(folder), "--bootstrap", bootstrap, "--workspace", unique]
    done = CliRunner().invoke(main, arguments)  # the folder is no value of the flag
    assert done.exit_code == 0, done.output
    ended = run(bootstrap, unique, folder, "--allow-removals=now")
    assert ended.stdout.splitlines()[:2] == [
        "  - feature view old@V1 (retired)",
        "      lost: it is computed no longer and its online state is deleted, at once",
    ]
    assert run(bootstrap, unique, folder, "--allow-removals=later").exit_code == ExitCode.USAGE


@pytest.mark.parametrize(("answer", "code"), [("y\n", ExitCode.OK), ("\n", ExitCode.FAILURE)])
def test_on_a_terminal_it_shows_the_losses_once_and_asks(
    bootstrap: str, unique: str, folder: Path, answer: str, code: ExitCode
) -> None:
    write(folder, features=text(view(), view("old")))
    assert run(bootstrap, unique, folder).exit_code == 0
    write(folder, features=text(view()))
    output, status = on_a_terminal(["apply", str(folder), "--bootstrap", bootstrap, "--workspace", unique], answer)
    assert status == code, output
    assert output.count("lost: features amount_sum_1d_continuous") == 1
    assert output.index("lost: ") < output.index("Remove 1 object, as shown? [y/N]: ")
    assert ("1 change applied" in output, "1 of 1 change refused, nothing applied" in output) == (not code, bool(code))


def on_a_terminal(arguments: list[str], typed: str) -> tuple[str, int]:
    """Runs the command line on a terminal of its own, where something is typed at the first question."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "headrace", *arguments], stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True
    )
    os.close(theirs)
    output = b""
    with suppress(OSError):  # how Linux tells that the other side of a terminal has ended
        while received := os.read(ours, 4096):
            output += received
            if typed and b"[y/N]: " in output:  # whole: what is typed is echoed at once
                os.write(ours, typed.encode())
                typed = ""
    os.close(ours)
    return output.decode(), child.wait(30)


def test_json_has_plan_and_sources(bootstrap: str, unique: str, folder: Path) -> None:
    found = json.loads(run(bootstrap, unique, folder, "--json").stdout)
    assert (found["workspace"], found["refused"]) == (unique, 0)
    assert found["plan"] > 0
    assert found["sources"]["events"]["topic"] == source_topic(unique, "events")
    assert [change["kind"] for change in found["changes"]] == ["added", "added"]


def test_an_error_is_one_line_with_file_and_line(bootstrap: str, unique: str, folder: Path) -> None:
    write(folder, features="from headrace import *\nEntity(name='user')\n")
    failed = run(bootstrap, unique, folder)
    assert failed.exit_code == ExitCode.FAILURE
    assert "features.py:2" in failed.stderr
    assert "Traceback" not in failed.output


def test_a_name_that_no_workspace_can_have_is_wrong_usage(bootstrap: str, folder: Path) -> None:
    failed = run(bootstrap, "no/such", folder)
    assert failed.exit_code == ExitCode.USAGE
    assert "workspace" in failed.stderr


@pytest.mark.parametrize(
    ("flags", "level"), [([], "critical"), (["--log-level", "info"], "info"), (["--log-level", "debug"], "debug")]
)
def test_it_logs_nothing_unless_a_level_is_given(
    flags: list[str], level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels: list[str] = []
    monkeypatch.setattr("headrace.commands.apply.configure_logs", lambda _role, given, _format: levels.append(given))
    folder = write(tmp_path / "r", features="broken(")
    assert run("127.0.0.1:1", "w", folder, *flags).exit_code == ExitCode.FAILURE
    assert levels == [level]


ORDERS = """
from datetime import timedelta
from headrace import *

user = Entity(name="user", join_keys=[Field("user_id", String)])
orders = StreamSource(name="orders", timestamp_field="at", {identity}schema=[
    Field("user_id", String), Field("order_id", String), Field("amount", Float64), Field("at", Timestamp)])
"""
ORDERS_VIEW = """
@stream_feature_view(source=orders, entities=[user], timestamp_field="at", name="spent", version="{version}",
    features=[Aggregate("last", "order_id", timedelta(days=30), n=3, name="orders"),
              Aggregate("sum", "amount", timedelta(days=30), name="sum")])
def spent_{version}(record):
    return record

service_{version} = FeatureService(name="{version}", features=[spent_{version}])
"""


def test_a_new_version_takes_the_identity_that_its_source_got_and_counts_all_events_of_an_instant(
    headrace: Headrace, system: System, unique: str, tmp_path: Path
) -> None:
    client = producer(system.kafka)

    def applied(identity: str, *versions: str) -> str:
        views = "".join(ORDERS_VIEW.format(version=version) for version in versions)
        folder = write(tmp_path / unique, features=ORDERS.format(identity=identity) + views)
        done = headrace("apply", str(folder), "--workspace", unique)
        assert done.exit_code == ExitCode.OK, done.output
        return done.stdout

    def values(service: str) -> object:
        done = headrace("get", service, "user_id=ann", "--workspace", unique, "--json")
        return json.loads(done.stdout)["result"]["features"] if done.exit_code == ExitCode.OK else done.stderr

    def send(told: str) -> None:
        plan, schema_id = map(int, re.findall(r"(?:as plan|schema id) (\d+)", told))
        # No processor goes by an older plan.
        headers: list[tuple[str, str | bytes | None]] = [(PLAN_HEADER, plan_header(plan))]
        for order, amount in (("b", 2.0), ("c", 4.0), ("a", 1.0), ("b", 8.0)):
            record = {"user_id": "ann", "order_id": order, "amount": amount, "at": at}
            client.produce(
                source_topic(unique, "orders"), wire.frame(schema_id, ORDER, record), partition=0, headers=headers
            )
        assert client.flush(20) == 0

    at = time.time_ns() // 1_000
    send(applied("", "V1"))
    wait_until(lambda: values("V1") == [["b"], 8.0])
    shown = applied('identity=["order_id"], ', "V1", "V2")
    assert "  ~ stream source orders: identity order_id (was none)\n" in shown
    assert "note: applied versions keep the identity that they have: spent@V1; new versions take this one" in shown
    send(shown)
    wait_until(lambda: values("V2") == [["a", "b", "c"], 13.0])
    assert values("V1") == [["b"], 8.0]
