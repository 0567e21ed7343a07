from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from headrace.applying import read_repository
from headrace.cli import main
from infra.process.exit_codes import ExitCode
from schemas.definitions.compile import compile_services, compile_sources, compile_views
from schemas.definitions.repository import load_repository


def init(folder: Path) -> Result:
    return CliRunner().invoke(main, ["init", str(folder)])


def test_what_it_writes_compiles(tmp_path: Path) -> None:
    assert init(tmp_path / "new" / "features").exit_code == 0
    folder = tmp_path / "new" / "features"
    repository = load_repository(read_repository(folder), str(folder))
    sources = compile_sources(repository, 4)
    views = compile_views(repository, sources)
    assert set(views) == {"user_activity@V1", "user_amounts@V1"}
    assert set(compile_services(repository, views)) == {"fraud_detection"}


def test_its_events_are_of_the_last_hour(tmp_path: Path) -> None:
    init(tmp_path)
    lines = (tmp_path / "transactions.jsonl").read_bytes().splitlines()
    times = [datetime.fromisoformat(msgspec.json.decode(line)["timestamp"]) for line in lines]
    assert times
    assert all(timedelta(minutes=10) < datetime.now(UTC) - each < timedelta(hours=1) for each in times)


def test_it_says_what_to_do_next(tmp_path: Path) -> None:
    output = init(tmp_path).output
    for command in (f"headrace apply {tmp_path}", "headrace ingest transactions", "headrace get fraud_detection"):
        assert command in output


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
