import subprocess
import sys

import psutil
import pytest

from infra.process.parent_death import tied_to_parent
from tests.support.waiting import wait_until

WAIT_FOR_EVER = "import threading; threading.Event().wait()"
PARENT = f"""
import subprocess, sys, threading
from infra.process.parent_death import tied_to_parent
child = subprocess.Popen(tied_to_parent([sys.executable, "-c", {WAIT_FOR_EVER!r}], sys.argv[1]))
print(child.pid, flush=True)
threading.Event().wait()
"""


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


PLATFORMS = [
    pytest.param("linux", marks=pytest.mark.skipif(sys.platform != "linux", reason="a call of Linux alone")),
    "darwin",
]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_child_dies_with_its_parent(platform: str) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, platform], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    wait_until(lambda: is_gone(child), 10)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_program_runs_under_the_process_id_of_the_child(platform: str) -> None:
    command = tied_to_parent([sys.executable, "-c", "import os; print(os.getpid())"], platform)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        answer, _nothing = child.communicate(timeout=20)
        assert int(answer) == child.pid


def test_who_looks_after_a_child_goes_with_it() -> None:
    with subprocess.Popen(tied_to_parent([sys.executable, "-c", WAIT_FOR_EVER], "darwin")) as child:
        wait_until(lambda: bool(psutil.Process(child.pid).children()), 10)
        [watcher] = psutil.Process(child.pid).children()
        child.kill()
    wait_until(lambda: is_gone(watcher), 10)
