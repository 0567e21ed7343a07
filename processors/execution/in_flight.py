"""What was being transformed when the process died: how a record that kills is found.

Invariant: the marker names a range of offsets exactly while user code may run on it; it survives ``kill -9``.

A batch in flight at a death is taken record by record next time; a record alone in flight at a death runs in a child
process (``processors.execution.isolation``), from then on whenever it is read: until the group's offset has passed
it, another death would have it run again. One file per source partition, in the host's data folder, of aligned
little-endian u64:

    first offset; end offset (exclusive; 0 for nothing in flight); how many records were alone in flight at a death;
    the newest 61 of these: offset + 1, at their number modulo 61 (0 for none)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from infra.mapped_file import map_whole
from schemas.errors import StorageError

_BYTES: Final = 512
_COUNT: Final = 2
_KILLERS: Final = slice(3, 64)


class InFlight:
    """The marker of one source partition.

    Args:
        path: its file.

    Raises:
        StorageError: the file cannot be made or mapped.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._map, _ = map_whole(path, _BYTES)
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}; free space or correct its permissions") from error
        self._cells = memoryview(self._map).cast("Q")
        self._suspects = range(self._cells[0], self._cells[1])
        if len(self._suspects) == 1:
            self._remember(self._cells[0])
        self._killers = frozenset(cell - 1 for cell in self._cells[_KILLERS] if cell)

    @contextmanager
    def running(self, first: int, end: int) -> Iterator[None]:
        """Marks the offsets from ``first`` to before ``end`` while user code runs on them.

        An exception leaves the mark: it ends the process, and the next one must know what it was.
        """
        self._cells[0] = first
        self._cells[1] = end
        yield
        self._cells[1] = 0

    def is_suspect(self, offset: int) -> bool:
        """Returns whether a record was in flight at the last death, or alone at any."""
        return offset in self._suspects or offset in self._killers

    def must_isolate(self, offset: int) -> bool:
        """Returns whether a record was alone in flight at a death."""
        return offset in self._killers

    def close(self) -> None:
        """Unmaps the file."""
        self._cells.release()
        self._map.close()

    def _remember(self, offset: int) -> None:
        cells = self._cells[_KILLERS]
        if offset + 1 not in cells:
            cells[self._cells[_COUNT] % len(cells)] = offset + 1
            self._cells[_COUNT] += 1
        cells.release()
