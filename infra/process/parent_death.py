"""Starts child processes of our own: with our own modules, and tied to the parent.

When the parent is gone, however it went, the child is killed.

Invariant: no child outlives its parent by more than a moment on Linux, and by more than ``LOOK_SECONDS`` elsewhere,
where the kernel offers no such tie and a small process beside the child looks instead.

Linux ties a child to the *thread* that started it: start long-lived children from a thread that lives as long.
"""

import os
import sys
from collections.abc import Sequence
from typing import Final

PYTHON: Final = (sys.executable, "-P")
"""How to run a module of ours; -P, so that a folder ``schemas`` where the user happens to be is not taken for ours."""

LOOK_SECONDS: Final = 0.5

# Runs in the child, before it becomes the program: safer than code between fork and exec of a process with threads.
# 1 is PR_SET_PDEATHSIG, 9 is SIGKILL; the second line is for a parent that died before the first.
_TIE: Final = """\
import ctypes, os, sys
ctypes.CDLL(None, use_errno=True).prctl(1, 9)
if os.getppid() != int(sys.argv[1]): sys.exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""

# Elsewhere: a fork that looks after both. It holds none of the child's files, so that a reader of its output sees the
# end, and has a session of its own, so that Ctrl-C leaves it to look.
_WATCH: Final = """\
import os, sys, time
parent, child = int(sys.argv[1]), os.getpid()
if os.getppid() != parent: sys.exit(1)
if os.fork() == 0:
    os.setsid()
    os.closerange(0, 1024)
    while os.getppid() == child:
        try:
            os.kill(parent, 0)
        except OSError:
            os.kill(child, 9)
            break
        time.sleep(float(sys.argv[2]))
    os._exit(0)
os.execvp(sys.argv[3], sys.argv[3:])
"""


def tied_to_parent(argv: Sequence[str], platform: str = sys.platform) -> list[str]:
    """Returns the command that runs ``argv``, under the same process id, tied to the calling process."""
    by = [sys.executable, "-I", "-S", "-c"]
    if platform == "linux":
        return [*by, _TIE, str(os.getpid()), *argv]
    return [*by, _WATCH, str(os.getpid()), str(LOOK_SECONDS), *argv]
