from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from headrace.applying import read_repository
from headrace.cli import main
from headrace.example_repositories import EXAMPLE_REPOSITORIES
from infra.process.exit_codes import ExitCode
from tests.support.plans import plan_of

NAMES = pytest.mark.parametrize("name", EXAMPLE_REPOSITORIES)


def init(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["init", str(folder), *options])


def test_without_a_name_it_writes_the_repository_of_the_tour(tmp_path: Path) -> None:
    assert init(tmp_path / "new" / "features").exit_code == 0
    plan = plan_of(read_repository(tmp_path / "new" / "features"))
    assert set(plan.views) == {"user_activity@V1", "user_amounts@V1"}
    assert set(plan.services) == {"fraud_detection"}


@NAMES
def test_it_writes_what_is_asked_for(name: str, tmp_path: Path) -> None:
    example = EXAMPLE_REPOSITORIES[name]
    assert init(tmp_path, "--example", name).exit_code == 0
    assert set(plan_of(read_repository(tmp_path)).services) == {example.service}
    assert len((tmp_path / f"{example.source}.jsonl").read_bytes().splitlines()) == len(example.events)


@NAMES
def test_help_tells_what_each_of_them_shows(name: str) -> None:
    output = CliRunner().invoke(main, ["init", "--help"]).output
    assert f"- {name}: {EXAMPLE_REPOSITORIES[name].summary}" in output


def test_its_events_are_of_the_last_hour(tmp_path: Path) -> None:
    init(tmp_path)
    lines = (tmp_path / "transactions.jsonl").read_bytes().splitlines()
    times = [datetime.fromisoformat(msgspec.json.decode(line)["timestamp"]) for line in lines]
    assert times
    assert all(timedelta(minutes=10) < datetime.now(UTC) - each < timedelta(hours=1) for each in times)


def test_it_says_what_to_do_next(tmp_path: Path) -> None:
    output = init(tmp_path, "--example", "orders").output
    assert (
        f"  headrace apply {tmp_path}\n"
        f"  headrace ingest orders {tmp_path / 'orders.jsonl'}\n"
        f"  headrace get shop customer_id=c1 product_id=tea\n"
    ) in output


def test_below_a_repository_it_says_to_apply_that_one(tmp_path: Path) -> None:
    assert init(tmp_path / "features").exit_code == 0
    output = init(tmp_path / "features" / "profiles", "--example", "profiles").output
    assert f"  headrace apply {tmp_path / 'features'}\n" in output
    assert f"  headrace ingest profile_changes {tmp_path / 'features' / 'profiles' / 'profile_changes.jsonl'}" in output
    assert set(plan_of(read_repository(tmp_path / "features")).services) == {"fraud_detection", "members"}


def test_an_unknown_example_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    refused = init(tmp_path / "new", "--example", "nothing")
    assert refused.exit_code == ExitCode.USAGE
    assert all(name in refused.output for name in EXAMPLE_REPOSITORIES)
    assert not (tmp_path / "new").exists()


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("x = 1\n", encoding="utf-8")
    refused = init(tmp_path)
    assert refused.exit_code == ExitCode.FAILURE
    assert f"{tmp_path} is not empty; name a new folder" in refused.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


@pytest.mark.parametrize("below", ["file", "file/folder"])
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    refused = init(tmp_path / below)
    assert refused.exit_code != 0
    assert str(tmp_path / "file") in refused.output
