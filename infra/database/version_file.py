"""What a writer has published about one partition's database, in 16 bytes that any process of the host can map.

Invariant: neither number ever goes back in a file, and whoever has mapped it sees every publication in it. Headrace
never replaces the file. If somebody else does, or removes it, its writer goes on with what is mapped until it notices
(``in_place``); so a reader stays with its own map until another file at the path has a publication. A writer that turns
to another file leaves the greatest version in the former, which no database shows.

Byte layout, two aligned 64-bit counters in the host's byte order (little-endian on every platform we run on)::

    0  epoch     drawn anew at each opening of the database for writing, greater than all known ones; 0 for none
    8  version   how many batches were written to the database, over all its epochs

Why a reader needs no lock: each counter is stored and loaded by one aligned 8-byte move, so neither is ever torn. The
writer stores the epoch, then the version; the reader loads the version, then the epoch. So a version comes with its own
epoch or a newer one, and a newer epoch only makes a reader reopen a moment early. (Processors that reorder stores may
pair a version with an older epoch; the reader finds that out from the epoch inside the database.)
"""

import mmap
import os
from pathlib import Path
from typing import Final

from infra.file_identity import identity_at, identity_of
from infra.mapped_file import map_whole
from schemas.errors import StorageError

_BYTES: Final = 16
_EPOCH, _VERSION = 0, 1
_ABANDONED: Final = 2**64 - 1


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
            self._map, status = map_whole(path, _BYTES)
        except OSError as error:
            raise StorageError(
                f"{path}: {error.strerror}; check free space and permissions, then start again"
            ) from error
        self._identity = identity_of(status)
        self._counters = memoryview(self._map).cast("Q")
        if self._counters[_VERSION] == _ABANDONED:  # somebody put it back
            self._counters[_VERSION] = 0

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

    def in_place(self) -> bool:
        """Tells whether the file is still the one at its path."""
        return identity_at(self._path) == self._identity

    def abandon(self) -> None:
        """Tells whoever still reads this file that another one counts, and unmaps it."""
        self._counters[_VERSION] = _ABANDONED
        self.close()

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
        self._path = str(path)
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._map = mmap.mmap(handle, _BYTES, access=mmap.ACCESS_READ)
            self._identity = identity_of(os.fstat(handle))
        except ValueError:  # the writer has made the file and not yet filled it
            raise FileNotFoundError(f"{path} is not written yet") from None
        finally:
            os.close(handle)
        self._counters = memoryview(self._map).cast("Q")

    def read(self) -> tuple[int, int]:
        """Returns epoch and version; (0, 0) before the first publication."""
        version = self._counters[_VERSION]
        return self._counters[_EPOCH], version

    def in_place(self) -> bool:
        """Tells whether the file is still the one at its path; about 1 µs."""
        return identity_at(self._path) == self._identity

    def close(self) -> None:
        """Unmaps the file."""
        self._counters.release()
        self._map.close()
