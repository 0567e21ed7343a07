"""A process that writes a database on command: stale reads show only between processes.

Started as ``python -m tests.infra.database.writer_process PATH VERSION_FILE MEMTABLE_BYTES``. Each line of standard
input is a JSON list: a command and its arguments; each is answered by one line, the JSON of its result. ``raw``
commands use the library alone, to document what it does.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from rocksdict import Rdict

from infra.database.layout import DatabaseResources, database_options
from infra.database.primary import PrimaryDatabase
from infra.database.secondary import SecondaryDatabase


class Writer:
    """Runs commands; each public method is one."""

    def __init__(self, path: Path, version_file: Path, memtable_bytes: int) -> None:
        self._path = path
        self._version_file = version_file
        self._resources = DatabaseResources.of_sizes(memtable_bytes=memtable_bytes)
        self._database: PrimaryDatabase | None = None
        self._raw: Rdict | None = None
        self._secondary: SecondaryDatabase | None = None

    def open(self) -> bool:
        """Opens the database; returns whether it has to be promoted."""
        self._database = PrimaryDatabase.open(
            self._path, version_file=self._version_file, resources=self._resources, lock_seconds=5
        )
        return self._database.rebuilding

    def promote(self) -> None:
        """Promotes a rebuilt database."""
        self._opened().promote()

    def write(self, *operations: tuple[str, str | None]) -> int:
        """Writes one batch; returns its version."""
        self._opened().write([(key.encode(), None if value is None else value.encode()) for key, value in operations])
        return self._opened().version

    def drop(self, start: str, end: str) -> None:
        """Drops a range of keys."""
        self._opened().write([], dropped=[(start.encode(), end.encode())])

    def unpublished(self, key: str, value: str) -> None:
        """Writes a key past the database: no version, nothing published."""
        raw = self._opened()._db  # noqa: SLF001 - what a crash between write and publication leaves behind
        assert raw is not None
        raw[key.encode()] = value.encode()

    def skip(self, *, generation: bool) -> None:
        """Writes batches of which the last can be read and one before cannot, as after an incomplete catch-up."""
        database = self._opened()
        if generation:
            database._end_generation(wait=True)  # noqa: SLF001 - a full memtable would take many writes
            database.version += 1
        database._end_generation(wait=True)  # noqa: SLF001 - as above
        if not generation:
            database.version += 1
            database._generation = replace(database._generation, before=database.version)  # noqa: SLF001 - a hole, made by hand
        database.write([])

    def flush(self) -> None:
        """Flushes as the database does it."""
        self._opened().flush()

    def bare_flush(self) -> None:
        """Flushes as RocksDB may by itself: nobody writes the version afterwards."""
        raw = self._opened()._db  # noqa: SLF001 - a flush in the background has no public name
        assert raw is not None
        raw.flush()

    def heartbeat(self) -> None:
        """Beats."""
        self._opened().heartbeat()

    def close(self) -> None:
        """Closes the database."""
        self._opened().close()
        self._database = None

    def read(self, secondaries: str) -> None:
        """Opens the database for reading, and keeps it open."""
        self._secondary = SecondaryDatabase(
            self._path, Path(secondaries), self._version_file, resources=self._resources
        )
        self._secondary.refresh()

    def raw_open(self) -> None:
        """Opens the database with the library alone."""
        self._raw = Rdict(str(self._path), database_options(self._resources))

    def raw_put(self, key: str, value: str) -> None:
        """Puts one key with the library alone."""
        assert self._raw is not None
        self._raw[key.encode()] = value.encode()

    def raw_delete(self, key: str) -> None:
        """Deletes one key with the library alone."""
        assert self._raw is not None
        del self._raw[key.encode()]

    def raw_flush(self) -> None:
        """Flushes with the library alone."""
        assert self._raw is not None
        self._raw.flush()

    def raw_close(self) -> None:
        """Closes with the library alone."""
        assert self._raw is not None
        self._raw.close()

    def churn(self, last: int, keys: int, *, compact: bool) -> None:
        """Writes batches of one key each, by turns, up to version ``last``."""
        database = self._opened()
        raw = database._db  # noqa: SLF001 - a compaction in the background has no public name
        assert raw is not None
        for version in range(database.version + 1, last + 1):
            database.write([(b"k%d" % (version % keys), b"%d %s" % (version, b"x" * 1000))])
            if compact and version % 50 == 0:
                database.flush()
                raw.compact_range(None, None)

    def _opened(self) -> PrimaryDatabase:
        assert self._database is not None
        return self._database


def main(path: str, version_file: str, memtable_bytes: str) -> None:
    """Answers commands until standard input ends."""
    writer = Writer(Path(path), Path(version_file), int(memtable_bytes))
    for line in sys.stdin:
        command, arguments, options = json.loads(line)
        result: Any = getattr(writer, command)(*arguments, **options)
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
