"""A lock on a file that ends with its process, however the process ends.

Invariant: of all processes of a host, one at most holds the lock of a path. The file stays behind; only the lock
counts. Do not fork (without exec) while holding one: the child would share it.
"""

import fcntl
import os
import time
from pathlib import Path

_RETRY_SECONDS = 0.02


class FileLock:
    """A lock that is not held yet.

    Args:
        path: created, with its folder, when the lock is first asked for.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def acquire(self, timeout: float) -> bool:
        """Takes the lock, waiting up to ``timeout`` seconds (0: not at all); returns whether it is held now.

        Raises:
            OSError: the file cannot be created.
        """
        deadline = time.monotonic() + timeout
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(handle)
                    return False
                time.sleep(_RETRY_SECONDS)
            else:
                self._handle = handle
                return True

    def release(self) -> None:
        """Gives the lock back; does nothing if it is not held."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
