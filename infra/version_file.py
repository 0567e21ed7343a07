"""What a writer has published about one partition's database, in 16 bytes that any process of the host can map.

Invariant: neither number ever goes back, and the file is never replaced: whoever has mapped it sees every publication.

Byte layout, two aligned 64-bit counters in the host's byte order (little-endian on every platform we run on)::

    0  epoch     how often the database was opened for writing
    8  version   how many batches were written to it, over all epochs

Why a reader needs no lock: each counter is stored and loaded by one aligned 8-byte move, so neither is ever torn. The
writer stores the epoch, then the version; the reader loads the version, then the epoch. So a version comes with its own
epoch or a newer one, and a newer epoch only makes a reader reopen a moment early. (Processors that reorder stores may
pair a version with an older epoch; the reader finds that out from the epoch inside the database.)
"""

import mmap
import os
from pathlib import Path

from schemas.errors import StorageError

_BYTES = 16
_EPOCH, _VERSION = 0, 1


class VersionFileWriter:
    """The one writer of a version file. The lock of the database it describes keeps a second one out.

    Args:
        path: created, with its folder, if it is missing; kept with what it holds otherwise.

    Raises:
        StorageError: the file cannot be created or mapped.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                if os.fstat(handle).st_size < _BYTES:
                    # Real blocks, not a hole: a full disk must show here and not as a SIGBUS at the first store.
                    os.pwrite(handle, bytes(_BYTES), 0)
                self._map = mmap.mmap(handle, _BYTES)
            finally:
                os.close(handle)
        except OSError as error:
            raise StorageError(
                f"{path}: {error.strerror}; check free space and permissions, then start again"
            ) from error
        self._counters = memoryview(self._map).cast("Q")

    def read(self) -> tuple[int, int]:
        """Returns epoch and version as published last."""
        return self._counters[_EPOCH], self._counters[_VERSION]

    def publish(self, epoch: int, version: int) -> None:
        """Makes ``epoch`` and ``version`` visible to every reader at once.

        Raises:
            StorageError: one of them would go back.
        """
        if epoch < self._counters[_EPOCH] or version < self._counters[_VERSION]:
            raise StorageError(
                f"{self._path}: epoch {epoch}, version {version} would go back behind the published "
                f"{self.read()}; another process has written it: run one processor per partition and folder"
            )
        self._counters[_EPOCH] = epoch
        self._counters[_VERSION] = version

    def close(self) -> None:
        """Unmaps the file, which stays."""
        self._counters.release()
        self._map.close()


class VersionFileReader:
    """A view of a version file that follows its writer.

    Raises:
        FileNotFoundError: there is no such file yet, or it is not whole yet.
    """

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._map = mmap.mmap(self._handle, _BYTES, access=mmap.ACCESS_READ)
        except ValueError:  # the writer has made the file and not yet filled it
            os.close(self._handle)
            raise FileNotFoundError(f"{path} is not written yet") from None
        self._counters = memoryview(self._map).cast("Q")

    def read(self) -> tuple[int, int]:
        """Returns epoch and version; (0, 0) before the first publication."""
        version = self._counters[_VERSION]
        return self._counters[_EPOCH], version

    def deleted(self) -> bool:
        """Tells whether somebody deleted the file, so that its next writer will make another one."""
        return os.fstat(self._handle).st_nlink == 0

    def close(self) -> None:
        """Unmaps the file."""
        self._counters.release()
        self._map.close()
        os.close(self._handle)
