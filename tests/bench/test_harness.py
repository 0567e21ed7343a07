import os
import sys
from pathlib import Path

import pytest

from bench.harness import BenchmarkError, Child, cpu_by_thread, cpu_seconds, memory_of, wait_for


def test_a_process_ends_with_its_block(tmp_path: Path) -> None:
    with Child(
        [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"], tmp_path / "out"
    ) as child:
        wait_for(lambda: child.check() and "up" in child.output(), "the process", 30)
        pid = child.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_process_that_died_is_reported_with_what_it_said(tmp_path: Path) -> None:
    with (
        Child([sys.executable, "-c", "raise SystemExit('no such thing')"], tmp_path / "out") as child,
        pytest.raises(BenchmarkError, match="no such thing"),
    ):
        wait_for(lambda: child.check() and False, "nothing", 30)


def test_waiting_for_what_never_comes_ends() -> None:
    with pytest.raises(BenchmarkError, match="the moon: not within 0 s"):
        wait_for(lambda: False, "the moon", 0)


def test_processes_can_be_measured() -> None:
    assert memory_of(os.getpid()).resident > 1
    assert cpu_seconds(os.getpid()) > 0
    assert "main thread" in cpu_by_thread(os.getpid())
