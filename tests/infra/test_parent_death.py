import subprocess
import sys

import psutil
import pytest

from infra.parent_death import tied_to_parent
from tests.waiting import wait_until

WAIT_FOR_EVER = "import threading; threading.Event().wait()"
PARENT = f"""
import subprocess, sys, threading
from infra.parent_death import tied_to_parent
child = subprocess.Popen(tied_to_parent([sys.executable, "-c", {WAIT_FOR_EVER!r}]))
print(child.pid, flush=True)
threading.Event().wait()
"""


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a process to its parent")
def test_a_child_dies_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    wait_until(lambda: is_gone(child), 10)


def test_the_program_runs_under_the_process_id_of_the_child() -> None:
    command = tied_to_parent([sys.executable, "-c", "import os; print(os.getpid())"])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        answer, _nothing = child.communicate(timeout=20)
        assert int(answer) == child.pid
