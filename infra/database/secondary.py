"""A reader of a database that another process writes.

Invariant: after ``refresh``, reads show everything that was published before it was called, and nothing that was ever
read is taken back.

RocksDB's secondaries promise neither. The known cases, each a regression test, and how ``refresh`` knows them:

1. Nothing was published since the last time: nothing is done. What a secondary has read stays right.
2. A flush on the writer: old values in the memtable hide new ones in files. The version, which is in every batch, is
   then old too.
3. The writer closed and opened again: old memtables stay for good. The epoch differs; none is ever used twice.
4. A flush or a compaction during the catch-up: batches in the middle are missing. One of the newest generations does
   not follow the one before (``infra.database.layout``). Older ones are in files: those of one manifest, so that files
   with a generation have all before it too, and a writer has two memtables that are not in files yet at most.
5. The folder was deleted and rebuilt, the version file perhaps too: the epoch differs, whatever the versions are.

A second catch-up mends 4; reopening mends all. Whatever was done, it is looked at again in the same way.

A writer whose files were removed may go on for a moment, and publishes where it did: so the map of a version file is
kept until another file at its path has a publication. From then on only that one counts, and the database of its epoch.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final, Self

from rocksdict import AccessType, Rdict

from infra.database.folders import SecondaryFolder
from infra.database.layout import (
    EPOCH_KEY,
    VERSION_KEY,
    DatabaseResources,
    Generation,
    database_options,
    decode_number,
    decode_version,
    generation_key,
)
from infra.database.primary import database_exists
from infra.database.reads import DatabaseReads, Failures, storage_error
from infra.database.version_file import VersionFileReader
from schemas.errors import UnavailableError

REOPEN_TRIES: Final = 5
GENERATIONS_CHECKED: Final = 16  # far more than can end during one catch-up


class SecondaryDatabase:
    """Follows the database in ``primary_path``. Not for use by several threads at once: reads and refresh take turns.

    Args:
        primary_path: the writer's folder; it may be missing now and appear later. Needs write permission.
        secondary_path: folder for the info logs of all secondaries of this database.
        version_file_path: where the writer publishes.
        resources: shared by all databases of this process.

    Attributes:
        epoch: published epoch as of the last refresh.
        version: published version as of the last refresh: what reads show at least.
        reopens: how often the database was opened, the first time included.
        repeats: how often one catch-up was not enough and a second one was.
    """

    def __init__(
        self, primary_path: Path, secondary_path: Path, version_file_path: Path, *, resources: DatabaseResources
    ) -> None:
        self.path = primary_path
        self.epoch = self.version = 0
        self.reopens = self.repeats = 0
        self._folders = secondary_path
        self._version_file_path = version_file_path
        self._resources = resources
        self._failures = Failures(primary_path)
        self._published: VersionFileReader | None = None
        self._folder: SecondaryFolder | None = None
        self._db: Rdict | None = None
        self._opened_epoch = 0

    @property
    def available(self) -> bool:
        """Whether there is a database to read; ``refresh`` looks again."""
        return self._db is not None

    def refresh(self) -> None:
        """Catches up with what is published. Leaves ``available`` false if there is nothing to read yet.

        Raises:
            UnavailableError: what is published cannot be read now; try again.
            StorageError: the database is damaged.
        """
        epoch, version = self._read_published()
        if version == 0 or ((epoch, version) == (self.epoch, self.version) and self._db is not None):
            return
        if self._db is None or epoch != self._opened_epoch or not self._caught_up(self._db, epoch, version):
            self._reopen()
        else:
            self.epoch, self.version = epoch, version

    def get(self, key: bytes) -> bytes | None:
        """Returns the value of ``key``, or None."""
        return self._reads().get(key)

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """Returns the values of ``keys``, in their order; None for each that is absent."""
        return self._reads().get_many(keys)

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yields keys and values from ``start`` (inclusive) to ``end`` (exclusive), ascending; no refresh meanwhile."""
        return self._reads().scan(start, end)

    def last_before(self, start: bytes, end: bytes) -> tuple[bytes, bytes] | None:
        """Returns the greatest key in ``start`` (inclusive) to ``end`` (exclusive) with its value, or None."""
        return self._reads().last_before(start, end)

    def close(self) -> None:
        """Closes the database and removes this secondary's folder."""
        self._close_database()
        if self._folder is not None:
            self._folder.close()
            self._folder = None
        if self._published is not None:
            self._published.close()
            self._published = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _read_published(self) -> tuple[int, int]:
        """Returns epoch and version as published last; zeros if nothing ever was."""
        try:
            if self._published is None or not self._published.in_place():
                self._follow_version_file()
        except OSError as error:  # out of file handles, or of permissions that come back: this read fails, no more
            raise UnavailableError(f"{self._version_file_path} cannot be read: {error.strerror}; try again") from error
        return (0, 0) if self._published is None else self._published.read()

    def _follow_version_file(self) -> None:
        """Turns to the version file that is at the path now, if it has a publication."""
        try:
            published = VersionFileReader(self._version_file_path)
        except FileNotFoundError:
            return
        if published.read() == (0, 0):
            published.close()
            return
        if self._published is not None:
            self._published.close()
        self._published = published

    def _caught_up(self, db: Rdict, epoch: int, version: int) -> bool:
        """Catches up, twice if need be; returns whether all that was published is there."""
        try:
            # Case 4 leaves a hole that a second catch-up closes; two of them in a row are rare enough to reopen for.
            for repeat in range(2):
                db.try_catch_up_with_primary()
                if self._shows(db, epoch, version):
                    self.repeats += repeat
                    return True
        except Exception:  # noqa: BLE001 - rocksdict raises nothing narrower
            return False  # a reopened one tells whether the files are bad or were only replaced under this one
        return False

    def _shows(self, db: Rdict, epoch: int, version: int) -> bool:
        """Returns whether every batch up to ``version`` can be read."""
        newest, number = decode_version(db.get(VERSION_KEY))
        if newest < version or not epoch == self._opened_epoch == decode_number(db.get(EPOCH_KEY)):
            return False
        numbers = range(number, max(0, number - GENERATIONS_CHECKED), -1)
        values: list[bytes | None] = db.get([generation_key(each) for each in numbers]) or []
        generations = [Generation.decode(value) for value in values]
        current = generations[0]
        if current is None or (current.number, current.last) != (number, newest):
            return False
        return all(later is not None and later.follows(earlier) for later, earlier in pairwise(generations))

    def _reopen(self) -> None:
        """Opens the database anew and catches up with what is published by then; leaves none open if there is none."""
        version, why = 0, "it does not show what was published"
        for _ in range(REOPEN_TRIES):
            self._close_database()
            if not database_exists(self.path):
                return
            # Read before it is opened: what is opened afterwards has at least that.
            epoch, version = self._read_published()
            try:
                self._db = self._open_database()
                self._opened_epoch = decode_number(self._db.get(EPOCH_KEY))
            except Exception as error:  # noqa: BLE001 - rocksdict raises nothing narrower
                why = str(error)
                continue
            if self._caught_up(self._db, epoch, version):
                self.reopens += 1
                self.epoch, self.version = epoch, version
                return
        self._close_database()
        if "Corruption" in why:
            raise storage_error(self.path, why)
        raise UnavailableError(f"database {self.path} cannot be read at version {version}: {why}; try again")

    def _open_database(self) -> Rdict:
        if self._folder is None:
            self._folder = SecondaryFolder(self._folders)
        access = AccessType.secondary(str(self._folder.path))
        return Rdict(str(self.path), database_options(self._resources), access_type=access)

    def _reads(self) -> DatabaseReads:
        if self._db is None:
            raise UnavailableError(
                f"database {self.path} is not there yet: the processor makes it at its first start, and rebuilds it "
                "from the log when it was deleted; try again"
            )
        return DatabaseReads(self._db, self._failures)

    def _close_database(self) -> None:
        if self._db is not None:
            with self._failures:
                self._db.close()
            self._db = None
