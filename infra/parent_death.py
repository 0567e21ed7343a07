"""Starts child processes of our own: with our own modules, and tied to the parent.

When the parent is gone, however it went, the child is killed.

Invariant: no child outlives its parent by more than a moment on Linux. Elsewhere there is no such call and the child
is started as it is.

Linux ties a child to the *thread* that started it: start long-lived children from a thread that lives as long.
"""

import os
import sys
from collections.abc import Sequence
from typing import Final

PYTHON: Final = (sys.executable, "-P")
"""How to run a module of ours; -P, so that a folder ``schemas`` where the user happens to be is not taken for ours."""

# Runs in the child, before it becomes the program: safer than code between fork and exec of a process with threads.
# 1 is PR_SET_PDEATHSIG, 9 is SIGKILL; the second line is for a parent that died before the first.
_TIE = """\
import ctypes, os, sys
ctypes.CDLL(None, use_errno=True).prctl(1, 9)
if os.getppid() != int(sys.argv[1]): sys.exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def tied_to_parent(argv: Sequence[str]) -> list[str]:
    """Returns the command that runs ``argv``, under the same process id, tied to the calling process."""
    if sys.platform != "linux":
        return list(argv)
    return [sys.executable, "-I", "-S", "-c", _TIE, str(os.getpid()), *argv]
