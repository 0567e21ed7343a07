"""A lock on a file that ends with its process, however the process ends.

Invariant: of all processes of a host, one at most holds the lock of a path. The file stays behind; only the lock
counts. Do not fork (without exec) while holding one: the child would share it.

The system locks a file, not its path: a holder whose file somebody removes no longer keeps others out. So a lock counts
only if its file is still the one at the path when it is taken, and holders look again now and then (``in_place``).
"""

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from infra.file_identity import identity_at, identity_of
from schemas.errors import LockedError

_RETRY_SECONDS: Final = 0.02


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
        while not self._take():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_RETRY_SECONDS)
        return True

    def in_place(self) -> bool:
        """Tells whether the lock is held, and on the file that is at the path now."""
        return self._handle is not None and identity_at(self._path) == identity_of(os.fstat(self._handle))

    def _take(self) -> bool:
        """Opens and locks the file at the path; opened anew each time, as it may be another one than before."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken = self.in_place()
        except BlockingIOError:
            taken = False
        if not taken:
            self.release()
        return taken

    def release(self) -> None:
        """Gives the lock back; does nothing if it is not held."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def kept_elsewhere(what: str) -> LockedError:
    """Returns the error for files that another processor of this host has open."""
    return LockedError(
        f"{what}: another process keeps it open: look for another `headrace processor` on this host with the same data "
        "folder, perhaps a stopped one, and end it"
    )
