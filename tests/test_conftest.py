import subprocess
import sys
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]

LEAKS_AN_ORPHAN = """
import pathlib, subprocess, sys

CHILD = "import threading; threading.Event().wait()"
PARENT = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {CHILD!r}]).pid)"

def test_that_leaves_a_process(tmp_path):
    with open("pid", "w") as file:
        subprocess.run([sys.executable, "-c", PARENT], stdout=file, check=True)
"""


def test_a_process_that_outlives_the_run_fails_it_and_is_killed(tmp_path: Path) -> None:
    (tmp_path / "test_leak.py").write_text(LEAKS_AN_ORPHAN)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "--rootdir", str(tmp_path), str(tmp_path)]
    run = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 1, run.stderr
    assert "still alive at the end of the tests, now killed" in run.stdout
    assert not psutil.pid_exists(pid := int((tmp_path / "pid").read_text())) or psutil.Process(pid).status() == "zombie"
