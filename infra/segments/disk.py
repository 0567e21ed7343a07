"""A folder of append-only files: the narrow seam between what decides and the disk, which the simulation fakes.

Invariant: after a failed append, later appends and readers that open the file anew never meet the half that was
written: it is cut off at once, or, where even that fails, before the next append to the file.

``append`` returns when the operating system has the data, and a crash of the machine may tear off what was appended
last: whoever writes here stores the Kafka offset inside the same data and reads again what is gone (docs/design.md,
"The way of a record"). What must not be torn off, because something that follows stands on it, is given to ``sync``
first.
"""

import os
from collections import OrderedDict
from pathlib import Path
from typing import Final, Protocol

from schemas.errors import StorageError

MAX_OPEN_FILES: Final = 64


class Disk(Protocol):
    """Append-only files under one root. Paths are relative to it, with ``/`` between their parts.

    Every method raises StorageError with the path and what to do when the disk fails or the file is missing.
    """

    def list(self, folder: str) -> list[str]:
        """Returns the names of the files in ``folder``, sorted; none if the folder is missing."""
        ...

    def size(self, path: str) -> int:
        """Returns the size of a file in bytes."""
        ...

    def read(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """Returns up to ``length`` bytes (None: all) from ``offset``; fewer at the end of the file."""
        ...

    def append(self, path: str, data: bytes) -> None:
        """Adds ``data`` to the end of a file, creating it and its folders; all of it or nothing."""
        ...

    def sync(self, path: str) -> None:
        """Returns when a file, and that it is in its folder, outlast a crash of the machine."""
        ...

    def truncate(self, path: str, size: int) -> None:
        """Cuts a file to ``size`` bytes."""
        ...

    def remove(self, path: str) -> None:
        """Removes a file."""
        ...


class LocalDisk:
    """A folder of this machine.

    Args:
        root: made when the first file is appended to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._handles: OrderedDict[str, int] = OrderedDict()  # least recently appended first
        self._whole: dict[str, int] = {}  # files with a half append that could not be cut yet: their size without it

    def list(self, folder: str) -> list[str]:
        """Returns the names of the files in ``folder``, sorted; none if the folder is missing."""
        try:
            return sorted(entry.name for entry in os.scandir(self.root / folder) if entry.is_file())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._failure(folder, error) from error

    def size(self, path: str) -> int:
        """Returns the size of a file in bytes."""
        try:
            return (self.root / path).stat().st_size
        except OSError as error:
            raise self._failure(path, error) from error

    def read(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """Returns up to ``length`` bytes (None: all) from ``offset``; fewer at the end of the file."""
        try:
            with (self.root / path).open("rb", buffering=0) as file:
                file.seek(offset)
                return _read_all(file.fileno(), length)
        except OSError as error:
            raise self._failure(path, error) from error

    def append(self, path: str, data: bytes) -> None:
        """Adds ``data`` to the end of a file, creating it and its folders; all of it or nothing."""
        try:
            handle = self._handle(path)
            if path in self._whole:
                os.ftruncate(handle, self._whole[path])
                del self._whole[path]
            status = os.fstat(handle)
        except OSError as error:
            raise self._failure(path, error) from error
        if status.st_nlink == 0:  # what is written there is gone with the handle, whoever is told that it is kept
            os.close(self._handles.pop(path))
            raise StorageError(
                f"{self.root / path} was removed while in use; what was written to it since is gone with it: the next "
                "start goes on with what Kafka still holds"
            )
        try:
            _write_all(handle, data)
        except OSError as error:
            self._cut(path, handle, status.st_size)
            raise self._failure(path, error) from error

    def sync(self, path: str) -> None:
        """Returns when a file, and that it is in its folder, outlast a crash of the machine."""
        target = self.root / path
        try:
            # Up to the root: the folders may be new as well.
            for each in (target, *target.parents[: len(Path(path).parts)]):
                handle = os.open(each, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)
        except OSError as error:
            raise self._failure(path, error) from error

    def truncate(self, path: str, size: int) -> None:
        """Cuts a file to ``size`` bytes."""
        try:
            os.truncate(self.root / path, size)
        except OSError as error:
            raise self._failure(path, error) from error
        self._whole.pop(path, None)

    def remove(self, path: str) -> None:
        """Removes a file."""
        self._whole.pop(path, None)
        if path in self._handles:
            os.close(self._handles.pop(path))
        try:
            (self.root / path).unlink()
        except OSError as error:
            raise self._failure(path, error) from error

    def close(self) -> None:
        """Closes the files that are open for appending; a later append opens its file again."""
        while self._handles:
            os.close(self._handles.popitem()[1])

    def _handle(self, path: str) -> int:
        if path in self._handles:
            self._handles.move_to_end(path)
            return self._handles[path]
        if len(self._handles) >= MAX_OPEN_FILES:
            os.close(self._handles.popitem(last=False)[1])
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        self._handles[path] = os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        return self._handles[path]

    def _cut(self, path: str, handle: int, whole: int) -> None:
        try:
            os.ftruncate(handle, whole)
        except OSError:
            self._whole[path] = whole

    def _failure(self, path: str, error: OSError) -> StorageError:
        return StorageError(
            f"{self.root / path}: {error.strerror or error}; check free space, permissions and health of the disk, "
            "then start this process again (nothing is lost: what was not written is read again from Kafka)"
        )


def _write_all(handle: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]


def _read_all(handle: int, length: int | None) -> bytes:
    """Returns ``length`` bytes, or fewer only at the end of the file: one read may return less than it could."""
    left = os.fstat(handle).st_size if length is None else length
    parts = []
    while left > 0 and (part := os.read(handle, left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
