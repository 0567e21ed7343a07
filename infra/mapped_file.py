"""Small files in shared memory: what survives a kill at once, and what another process reads without a call.

Invariant: the bytes of a mapped file have real blocks of the disk. A full disk shows when the file is mapped, as an
OSError, and never at a store into the map, which would end the process by SIGBUS, without a word.
"""

import mmap
import os
from pathlib import Path


def map_whole(path: Path, size: int) -> tuple[mmap.mmap, os.stat_result]:
    """Maps the first ``size`` bytes of a file for reading and writing; one process at a time may do so.

    The file is created, with its folder, if it is missing, and filled up with zeros if it is shorter.

    Returns:
        The map, and what the file was when it was mapped.

    Raises:
        OSError: it cannot be made, or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        # Written even if it is long enough already: it may be a hole.
        os.pwrite(handle, os.pread(handle, size, 0).ljust(size, b"\x00"), 0)
        return mmap.mmap(handle, size), os.fstat(handle)
    finally:
        os.close(handle)
