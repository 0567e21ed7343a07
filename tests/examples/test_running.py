import sys
from pathlib import Path

import psutil
import pytest

from examples import running
from examples.running import UpError, clean_environment, running_system
from tests.support.waiting import wait_until

UP = """
import pathlib, signal, sys, threading
data, kind = pathlib.Path(sys.argv[3]), sys.argv[-1]
print("starting", file=sys.stderr, flush=True)
if kind == "fails":
    sys.exit("no such folder")
(data / "admin.key").write_text("hr_key\\n")
if kind == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
for line in ("kafka 127.0.0.1:1", "processor http://p:1", "processor http://p:2", "ingest http://i", "registry http://r",
             "serving http://s"):
    print(line)
print("ready in 1 s", flush=True)
if kind == "ends":
    sys.exit(3)
threading.Event().wait()
"""
"""Stands in for `headrace up`; its last argument says what becomes of it."""


@pytest.fixture(autouse=True)
def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "headrace.py"
    script.write_text(UP)
    monkeypatch.setattr(running, "HEADRACE", (sys.executable, str(script)))


def test_a_system_says_where_it_is_and_ends_with_its_block(tmp_path: Path) -> None:
    with running_system(tmp_path / "data", "lasts") as system:
        assert (system.kafka, system.processor, system.ingest) == ("127.0.0.1:1", "http://p:1", "http://i")
        assert (system.registry, system.serving, system.key) == ("http://r", "http://s", "hr_key")
        assert (system.settings.data, system.settings.bootstrap) == (tmp_path / "data", "127.0.0.1:1")
        assert psutil.pid_exists(system.pid)
    assert not psutil.pid_exists(system.pid)


def test_it_ends_with_a_block_that_fails_too(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), running_system(tmp_path / "data", "lasts") as system:
        _ = 1 / 0
    assert not psutil.pid_exists(system.pid)


def test_one_that_does_not_start_is_quoted(tmp_path: Path) -> None:
    with (
        pytest.raises(UpError, match=r"ended with exit status 1; its log ends with:\nstarting\nno such folder"),
        running_system(tmp_path / "data", "fails"),
    ):
        pass


def test_one_that_ended_before_its_block_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(UpError, match="ended with exit status 3"),
        running_system(tmp_path / "data", "ends") as system,
    ):
        wait_until(lambda: psutil.Process(system.pid).status() == psutil.STATUS_ZOMBIE)


def test_one_that_does_not_become_ready_is_told_and_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "START_SECONDS", 0.0)
    with pytest.raises(UpError, match="not ready within 0 s"), running_system(tmp_path / "data", "lasts"):
        pass


def test_one_that_does_not_stop_is_killed_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "STOP_SECONDS", 0.2)
    with pytest.raises(UpError, match="did not stop within"), running_system(tmp_path / "data", "stubborn") as system:
        pass
    assert not psutil.pid_exists(system.pid)


def test_settings_of_whoever_starts_it_do_not_reach_it() -> None:
    given = {"HEADRACE_BOOTSTRAP": "a:1", "HEADRACE_CACHE": "cache", "PATH": "here"}
    assert clean_environment(given) == {"HEADRACE_CACHE": "cache", "PATH": "here"}
