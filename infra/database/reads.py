"""Reads of an open database, and what its failures mean.

Invariant: no iterator outlives the call that made it, so that closing the database gives its lock back, and none is
moved while it is not valid (rocksdict 0.3.29 crashes the process then).

A scan therefore works in chunks, each by an iterator of its own. It is of one moment only as long as nobody writes to
the database (or catches it up) before the scan is used up.

Traps of rocksdict 0.3.29: ``ReadOptions.set_iterate_lower_bound`` sets the *upper* bound. ``Rdict.items`` and ``keys``
are a third faster than an iterator, and end at a damaged block as if nothing came after it. None of them is used here.
"""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

from rocksdict import DbClosedError, Rdict, ReadOptions

from schemas.errors import StorageError

SCAN_CHUNK: Final = 1024


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
    """``schemas.state.reader.Reader`` over an open database.

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
        before = KeysBefore(self._db, end)
        while True:
            with self._failures:
                chunk = before.items(start, SCAN_CHUNK)
            yield from chunk
            if len(chunk) < SCAN_CHUNK:
                return
            start = chunk[-1][0] + b"\x00"

    def keys(self, start: bytes, end: bytes, limit: int) -> list[bytes]:
        """Returns the first ``limit`` keys from ``start`` (inclusive) to ``end`` (exclusive), ascending."""
        with self._failures:
            return KeysBefore(self._db, end).keys(start, limit)

    def last_before(self, start: bytes, end: bytes) -> tuple[bytes, bytes] | None:
        """Returns the greatest key in ``start`` (inclusive) to ``end`` (exclusive) with its value, or None."""
        with self._failures:
            last = KeysBefore(self._db, end).last()
        return last if last is not None and last[0] >= start else None


class KeysBefore:
    """The part of a database before ``end``: owns what its iterators point into, and lends none of them out.

    An iterator of rocksdict 0.3.29 reads the bytes of its upper bound where they lie, and keeps neither them nor the
    ReadOptions that do: where both were freed, it ends early or late, silently.
    """

    def __init__(self, db: Rdict, end: bytes) -> None:
        self._db = db
        self._options = ReadOptions()
        self._options.set_iterate_upper_bound(end)

    def items(self, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Returns the first ``limit`` keys from ``start`` on, with their values."""
        iterator = self._db.iter(self._options)
        iterator.seek(start)
        items: list[tuple[bytes, bytes]] = []
        valid, key, value, step = iterator.valid, iterator.key, iterator.value, iterator.next
        while len(items) < limit and valid():
            items.append((key(), value()))
            step()
        iterator.status()
        return items

    def keys(self, start: bytes, limit: int) -> list[bytes]:
        """Returns the first ``limit`` keys from ``start`` on."""
        iterator = self._db.iter(self._options)
        iterator.seek(start)
        keys: list[bytes] = []
        while len(keys) < limit and iterator.valid():
            keys.append(iterator.key())
            iterator.next()
        iterator.status()
        return keys

    def last(self) -> tuple[bytes, bytes] | None:
        """Returns the greatest key with its value, or None."""
        iterator = self._db.iter(self._options)
        iterator.seek_to_last()
        if not iterator.valid():
            iterator.status()
            return None
        return iterator.key(), iterator.value()
