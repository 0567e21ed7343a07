import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from headrace.cli import main
from infra.exit_codes import ExitCode
from schemas.topics import source_topic
from tests.headrace.test_applying import text, view, write


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
        "  ~ feature view spending@V1: features, horizon",
        "      refused: an applied version never changes in place; give the view a new version",
        f"workspace {unique}: 2 of 3 changes refused, nothing applied",
    ]
    document = run(bootstrap, unique, folder, "--json")
    assert document.exit_code == ExitCode.FAILURE
    found = json.loads(document.stdout)
    assert (found["plan"], found["refused"], len(found["changes"])) == (None, 2, 3)
    assert [bool(change["problem"]) for change in found["changes"]] == [True, False, True]


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
