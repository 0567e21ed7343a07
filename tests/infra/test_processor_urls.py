import subprocess
import sys
from pathlib import Path

from infra.paths import processor_urls_path
from infra.processor_urls import announced, processor_urls


def test_who_runs_is_found_and_who_has_ended_is_not(tmp_path: Path) -> None:
    assert processor_urls(tmp_path) == []
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with announced(tmp_path, "http://127.0.0.1:1234"):
        for name in (str(ended.pid), "no number", "9" * 30):
            (processor_urls_path(tmp_path) / name).write_text("http://127.0.0.1:1")
        assert processor_urls(tmp_path) == ["http://127.0.0.1:1234"]
    assert processor_urls(tmp_path) == []


def test_what_those_left_who_were_killed_is_removed(tmp_path: Path) -> None:
    left = processor_urls_path(tmp_path) / "no number"
    left.parent.mkdir()
    left.write_text("x")
    with announced(tmp_path, "http://127.0.0.1:1234"):
        assert not left.exists()


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "processors").touch()
    with announced(tmp_path, "http://127.0.0.1:1234"):
        assert processor_urls(tmp_path) == []
    assert (tmp_path / "processors").exists()
