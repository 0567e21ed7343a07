"""Reads of an open database, and what its failures mean.

Invariant: no iterator outlives the call that made it, so that closing the database gives its lock back, and none is
moved while it is not valid (rocksdict 0.3.29 crashes the process then).

A scan therefore works in chunks, each by an iterator of its own. It is of one moment only as long as nobody writes to
the database (or catches it up) before the scan is used up.

Trap: ``ReadOptions.set_iterate_lower_bound`` of rocksdict 0.3.29 sets the *upper* bound. It is not used here.
"""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from rocksdict import DbClosedError, Rdict, ReadOptions

from schemas.errors import StorageError

SCAN_CHUNK = 1024


class Failures:
    """Turns the library's errors, which are all bare ``Exception``, into StorageErrors with a remedy.

    Args:
        path: the database, named in each message.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Does nothing: one object serves every call, at 0.2 µs."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is Exception or kind is DbClosedError:
            raise storage_error(self._path, str(error)) from error


def storage_error(path: Path, text: str) -> StorageError:
    """Returns the error for what RocksDB says about the database in ``path``."""
    if "No space left" in text:
        remedy = "the disk is full: free space, then start this process again; nothing is lost"
    elif "Corruption" in text:
        remedy = (
            "the database is damaged: stop this process, delete the folder and start again; it is rebuilt from the log"
        )
    elif "already closed" in text:
        remedy = "it is not open in this process any more"
    else:
        remedy = "check the disk and the permissions of the folder, then start this process again; nothing is lost"
    return StorageError(f"database {path}: {remedy} ({text})")


class DatabaseReads:
    """``schemas.state_reader.Reader`` over an open database.

    Args:
        db: opened in raw mode.
        failures: of its path.
    """

    def __init__(self, db: Rdict, failures: Failures) -> None:
        self._db = db
        self._failures = failures

    def get(self, key: bytes) -> bytes | None:
        """Returns the value of ``key``, or None."""
        with self._failures:
            value: bytes | None = self._db.get(key)
            return value

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """Returns the values of ``keys``, in their order; None for each that is absent."""
        with self._failures:
            values: list[bytes | None] = self._db.get(keys) or []  # type: ignore[arg-type]  # the stub wants a list of every kind of key
            return values

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yields keys and values from ``start`` (inclusive) to ``end`` (exclusive), ascending."""
        while True:
            chunk = self._chunk(start, end)
            yield from chunk
            if len(chunk) < SCAN_CHUNK:
                return
            start = chunk[-1][0] + b"\x00"

    def last_before(self, start: bytes, end: bytes) -> tuple[bytes, bytes] | None:
        """Returns the greatest key in ``start`` (inclusive) to ``end`` (exclusive) with its value, or None."""
        with self._failures:
            iterator = self._db.iter(_below(end))
            iterator.seek_to_last()
            if not iterator.valid():
                iterator.status()
                return None
            key: bytes = iterator.key()
            return (key, iterator.value()) if key >= start else None

    def _chunk(self, start: bytes, end: bytes) -> list[tuple[bytes, bytes]]:
        chunk: list[tuple[bytes, bytes]] = []
        with self._failures:
            iterator = self._db.iter(_below(end))
            iterator.seek(start)
            valid, key, value, step = iterator.valid, iterator.key, iterator.value, iterator.next
            while valid():
                chunk.append((key(), value()))
                if len(chunk) == SCAN_CHUNK:
                    return chunk
                step()
            iterator.status()
        return chunk


def _below(end: bytes) -> ReadOptions:
    options = ReadOptions()
    options.set_iterate_upper_bound(end)
    return options
