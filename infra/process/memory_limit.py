"""Limits on the memory of this process, for children that run what may take all of it."""

import os
import resource
from pathlib import Path
from typing import Final

_STATM: Final = Path("/proc/self/statm")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


def host_memory() -> int:
    """Returns the memory of this machine, in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES


def limit_data(limit_bytes: int) -> bool:
    """Makes allocations fail once the process can write to this much; returns whether the system does that.

    What is only mapped (libraries, what they reserve and never use) does not count. Linux does so. macOS refuses the
    call or passes over it; there the time limit of a child's parent is what ends it.
    """
    return _limit(resource.RLIMIT_DATA, limit_bytes)


def limit_growth(more_bytes: int) -> bool:
    """Makes allocations fail once the process has mapped so much more than now, in place of ``limit_data``.

    Returns whether the system does that; Linux does.
    """
    _limit(resource.RLIMIT_DATA, resource.RLIM_INFINITY)
    try:
        mapped = int(_STATM.read_text(encoding="ascii").split()[0]) * _PAGE_BYTES
    except OSError:
        return False
    return _limit(resource.RLIMIT_AS, mapped + more_bytes)


def _limit(what: int, limit_bytes: int) -> bool:
    """Sets the soft limit alone, so that it can be set again, and never above the hard one."""
    try:
        hard = resource.getrlimit(what)[1]
        within = hard == resource.RLIM_INFINITY or (limit_bytes != resource.RLIM_INFINITY and limit_bytes < hard)
        resource.setrlimit(what, (limit_bytes if within else hard, hard))
    except (OSError, ValueError):
        return False
    return True
