"""The folders in which secondaries keep their info logs: one per open secondary, gone with its process.

Invariant: two secondaries never share a folder, and a folder is deleted only when nobody uses it any more.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from infra.process.file_lock import FileLock

_LOCK: Final = "in-use.lock"


class SecondaryFolder:
    """A folder of its own under ``base``, held until ``close``; removes those whose processes are dead.

    Args:
        base: shared by all secondaries of one database; made if it is missing.

    Raises:
        OSError: the folder cannot be made.
    """

    def __init__(self, base: Path) -> None:
        guard = FileLock(base / "folders.lock")
        # Guards the moment between making a folder and locking it; nobody holds it for more than that and a clean-up.
        if not guard.acquire(timeout=10.0):
            raise TimeoutError(f"{base}/folders.lock is held by another process for more than 10 s")
        try:
            for leftover in base.glob("*/"):
                _remove_unused(leftover)
            self.path = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=base))
            self._lock = FileLock(self.path / _LOCK)
            self._lock.acquire(timeout=0)
        finally:
            guard.release()

    def close(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()


def _remove_unused(folder: Path) -> None:
    lock = FileLock(folder / _LOCK)
    if lock.acquire(timeout=0):
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()
