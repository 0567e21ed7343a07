"""What was being transformed when the process died: how a record that kills is found.

Invariant: the marker names a range of offsets exactly while user code may run on it; it survives ``kill -9``.

A batch in flight at a death is taken record by record next time; a record alone in flight at a death runs in a child
process (``processors.isolation``). One file per source partition, in the host's data folder: two aligned little-endian
u64: first offset, end offset (exclusive; 0 for nothing in flight).
"""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from schemas.errors import StorageError

_BYTES: Final = 16


class InFlight:
    """The marker of one source partition.

    Args:
        path: its file.

    Raises:
        StorageError: the file cannot be made or mapped.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a+b") as file:
                file.truncate(_BYTES)
                self._map = mmap.mmap(file.fileno(), _BYTES)
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}; free space or correct its permissions") from error
        self._cells = memoryview(self._map).cast("Q")
        self._suspects = range(self._cells[0], self._cells[1])

    @contextmanager
    def running(self, first: int, end: int) -> Iterator[None]:
        """Marks the offsets from ``first`` to before ``end`` while user code runs on them."""
        self._cells[0] = first
        self._cells[1] = end
        try:
            yield
        finally:
            self._cells[1] = 0

    def is_suspect(self, offset: int) -> bool:
        """Returns whether a record was in flight at the last death."""
        return offset in self._suspects

    def must_isolate(self, offset: int) -> bool:
        """Returns whether a record was alone in flight at the last death."""
        return len(self._suspects) == 1 and offset in self._suspects

    def close(self) -> None:
        """Unmaps the file."""
        self._cells.release()
        self._map.close()
