"""The one writer of a partition's database.

Invariant: an epoch is never used twice, whatever was removed in between; within one, what is published (epoch and
version, in the version file) never goes back, and is published only after the batch it names was written.

Life of a folder ``PATH``; ``PATH.lock`` is held throughout, because RocksDB's own lock goes away with the folder:

1. ``open`` finds a whole database in ``PATH``: it is opened, an epoch drawn and published.
2. ``open`` finds none: what a crash left in ``PATH.rebuild`` is deleted and an empty database begun there;
   ``rebuilding`` is true and nothing is published, so readers keep what they have.
3. The caller fills it from the log and calls ``promote``: the folder is renamed to ``PATH``, and from then on as in 1.
4. Somebody removes or replaces the folder, or the lock's file: ``check_in_place`` raises, the owner closes, and the
   next one begins at 1 or 2. The version file alone is made anew on the spot.
"""

import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

from rocksdict import Rdict, WriteBatch

from infra.database.layout import (
    EPOCH_KEY,
    EPOCH_RANDOM_BITS,
    FORMAT_KEY,
    VERSION_KEY,
    DatabaseResources,
    Generation,
    database_options,
    decode_number,
    decode_version,
    encode_number,
    encode_version,
    generation_key,
    new_epoch,
)
from infra.database.reads import DatabaseReads, Failures, storage_error
from infra.database.version_file import VersionFileWriter
from infra.file_identity import Identity, identity_at
from infra.process.file_lock import FileLock, kept_elsewhere
from schemas.errors import StorageError
from schemas.state.keys import FORMAT_VERSION

_FLUSH_SIGN: Final = "rocksdb.current-super-version-number"  # grows with every flush and compaction; 0.3 µs to read
_MEMTABLE_BYTES: Final = "rocksdb.cur-size-active-mem-table"  # 0.3 µs to read
_SMALLEST_SHARE: Final = 32  # under pressure from other databases, at least this part of the budget is flushed at once
_RETRY_SECONDS: Final = 0.02


class PrimaryDatabase:
    """An open database that this process alone writes; made by ``open``. Not for use by several threads at once.

    Attributes:
        path: its folder.
        rebuilding: whether the folder was missing, and the caller has to fill the database and ``promote`` it.
        epoch: of this opening; 0 while rebuilding.
        version: how many batches were written to it, over all epochs; while rebuilding, of this rebuild.
    """

    def __init__(self, path: Path, lock: FileLock, version_file: Path, resources: DatabaseResources) -> None:
        self.path = path
        self.rebuilding = not database_exists(path)
        self.epoch = self.version = 0
        self._resources = resources
        self._lock = lock
        self._version_file = version_file
        self._publisher = VersionFileWriter(version_file)
        self._failures = Failures(path)
        self._rebuild_path = path.with_name(path.name + ".rebuild")
        self._generation = Generation(1, 0, 0)
        self._flush_sign = 0
        self._identity: Identity | None = None
        self._db: Rdict | None = None

    @classmethod
    def open(
        cls, path: Path, *, version_file: Path, resources: DatabaseResources, lock_seconds: float
    ) -> "PrimaryDatabase":
        """Opens the database in ``path`` for writing, or begins one to be rebuilt if there is none.

        Args:
            path: the folder; its parent is made if needed.
            version_file: where epoch and version are published; it must outlive the folder.
            resources: shared by all databases of this process.
            lock_seconds: how long to wait for a former owner to let go.

        Raises:
            LockedError: another process keeps the lock.
            StorageError: the disk is full; the database is damaged, or of another
                format.
        """
        deadline = time.monotonic() + lock_seconds
        # Beside the folder: whoever removes the folder must not take the lock away with it.
        lock = FileLock(path.with_name(path.name + ".lock"))
        try:
            held = lock.acquire(lock_seconds)
        except OSError as error:
            raise storage_error(path, str(error)) from error
        if not held:
            raise kept_elsewhere(f"database {path}")
        try:
            database = cls(path, lock, version_file, resources)
        except BaseException:
            lock.release()
            raise
        try:
            if database.rebuilding:
                database._begin_rebuild()
            else:
                database._begin_epoch(deadline)
        except BaseException:
            database.close()
            raise
        return database

    def write(
        self, operations: Sequence[tuple[bytes, bytes | None]], *, dropped: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        """Applies all operations (key and value; None deletes) at once, in order, then publishes the new version.

        Args:
            operations: what to put and delete.
            dropped: ranges (first key and the one behind) that are deleted before, each at the price of one key; reads
                nearby are slower until the next compaction.

        Raises:
            StorageError: nothing was applied, or (never published) all of it.
        """
        version = self.version + 1
        batch = WriteBatch(raw_mode=True)
        put, delete = batch.put, batch.delete
        for start, end in dropped:
            batch.delete_range(start, end)
        for key, value in operations:
            if value is None:
                delete(key)
            else:
                put(key, value)
        # A generation ends between batches; left to itself, RocksDB would end it whenever a memtable is full.
        self._make_room(batch.size_in_bytes())
        self._commit(batch, version)
        if not self.rebuilding:
            # Last: whoever reads a version finds its batch.
            self._publisher.publish(self.epoch, version)

    def get(self, key: bytes) -> bytes | None:
        """Returns the value of ``key``, or None."""
        return self._reads().get(key)

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """Returns the values of ``keys``, in their order; None for each that is absent."""
        return self._reads().get_many(keys)

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yields keys and values from ``start`` (inclusive) to ``end`` (exclusive), ascending; no write meanwhile."""
        return self._reads().scan(start, end)

    def keys(self, start: bytes, end: bytes, limit: int) -> list[bytes]:
        """Returns the first ``limit`` keys from ``start`` (inclusive) to ``end`` (exclusive), ascending."""
        return self._reads().keys(start, end, limit)

    def last_before(self, start: bytes, end: bytes) -> tuple[bytes, bytes] | None:
        """Returns the greatest key in ``start`` (inclusive) to ``end`` (exclusive) with its value, or None."""
        return self._reads().last_before(start, end)

    def flush(self) -> None:
        """Moves the memtable to a file, and writes the version again, without which secondaries see old values."""
        self._end_generation(wait=True)
        self._commit(WriteBatch(raw_mode=True), self.version)

    def heartbeat(self) -> None:
        """Writes the version again if RocksDB flushed since the last write; call it now and then (0.5 µs).

        Otherwise a secondary that had not read all of the log before the flush has to reopen to see its end.
        """
        if self._property(_FLUSH_SIGN) != self._flush_sign:
            self._commit(WriteBatch(raw_mode=True), self.version)

    def check_in_place(self) -> None:
        """Checks that folder, lock and version file are still those that were opened; call it now and then (4 µs).

        A version file that was removed or replaced is made anew. Until then readers follow the one that is mapped.

        Raises:
            StorageError: the folder was removed or replaced: what is written goes where no reader looks; or the lock's
                file was: another process can take the partition.
        """
        if not self._lock.in_place():
            raise _removed(self.path.with_name(self.path.name + ".lock"))
        if self.rebuilding:
            return
        if identity_at(self.path) != self._identity:
            raise _removed(self.path)
        self._follow_version_file()
        if self._publisher.read() != (self.epoch, self.version):
            self._publisher.publish(self.epoch, self.version)

    def promote(self) -> None:
        """Puts the rebuilt database in its place and publishes it.

        Raises:
            StorageError: the folder cannot be put in place; the next start rebuilds again.
        """
        if not self.rebuilding:
            raise StorageError(
                f"database {self.path}: there is nothing to promote; it was not missing when it was opened"
            )
        self._close_database()
        try:
            # Not a database (``database_exists`` said so), but a reader's attempt to open one may have left a file.
            shutil.rmtree(self.path, ignore_errors=True)
            self._rebuild_path.rename(self.path)
        except OSError as error:
            raise storage_error(self.path, str(error)) from error
        self.rebuilding = False
        self._begin_epoch(time.monotonic())

    def close(self) -> None:
        """Flushes and gives the locks back. Scans that are not used up fail from now on."""
        try:
            self._close_database()
        except StorageError:
            if self.rebuilding or identity_at(self.path) == self._identity:
                raise  # else there is nothing any more that could be flushed to
        finally:
            self._publisher.close()
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _begin_rebuild(self) -> None:
        try:
            shutil.rmtree(self._rebuild_path, ignore_errors=True)
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(self._rebuild_path, str(error)) from error
        with self._failures:
            self._db = Rdict(str(self._rebuild_path), database_options(self._resources))
        self.write([(FORMAT_KEY, encode_number(FORMAT_VERSION))])

    def _begin_epoch(self, deadline: float) -> None:
        self._db = self._open_database(deadline)
        self._identity = identity_at(self.path)
        self._check_format()
        self._follow_version_file()
        epoch, version = self._publisher.read()
        written, generation = decode_version(self.get(VERSION_KEY))
        # Either of folder and version file may be new; an epoch above both makes every reader open again.
        known = max(epoch, decode_number(self.get(EPOCH_KEY)))
        self.epoch = new_epoch(known, time.time_ns() // 1_000_000, secrets.randbits(EPOCH_RANDOM_BITS))
        # A crash between batch and publication leaves the folder ahead; an older copy of the folder is behind.
        self.version = max(version, written)
        self._generation = Generation(generation + 1, written, written)
        # This first batch also publishes the epoch: not before the database itself has it.
        self.write([(EPOCH_KEY, encode_number(self.epoch))])

    def _follow_version_file(self) -> None:
        """Turns to the version file that is at its path now, made anew if need be; readers of the former are told."""
        if self._publisher.in_place():
            return
        left = self._publisher
        self._publisher = VersionFileWriter(self._version_file)
        if self.epoch:
            self._publisher.publish(self.epoch, self.version)
        # After the new file has a publication: a reader that leaves the former one must find something to follow.
        left.abandon()

    def _open_database(self, deadline: float) -> Rdict:
        while True:
            try:
                return Rdict(str(self.path), database_options(self._resources))
            except Exception as error:
                # The text alone tells RocksDB's lock from damage; a former owner that is closing gives it back soon.
                if "/LOCK:" not in str(error):
                    raise storage_error(self.path, str(error)) from error
                if time.monotonic() >= deadline:
                    raise kept_elsewhere(f"database {self.path}") from error
                time.sleep(_RETRY_SECONDS)

    def _check_format(self) -> None:
        found = decode_number(self.get(FORMAT_KEY))
        if found != FORMAT_VERSION:
            raise StorageError(
                f"database {self.path} has format version {found}, this version of Headrace knows {FORMAT_VERSION}: "
                "start the version that wrote it, or delete the folder and start again; it is rebuilt from the log"
            )

    def _make_room(self, size: int) -> None:
        """Ends the generation if a batch of ``size`` bytes would make the memtable, or all of them, too large."""
        active = self._property(_MEMTABLE_BYTES)
        budget = self._resources.write_buffer_bytes
        full = active + size > self._resources.memtable_bytes
        pressed = active > budget // _SMALLEST_SHARE and self._resources.write_buffers.get_usage() + size > budget
        if full or pressed:
            self._end_generation(wait=False)

    def _end_generation(self, *, wait: bool) -> None:
        """Flushes; the next batch goes to a new memtable and a new log. Waits if the flush before is not done yet."""
        with self._failures:
            self._opened().flush(wait)
        self._generation = Generation(self._generation.number + 1, self.version, self.version)

    def _commit(self, batch: WriteBatch, version: int) -> None:
        generation = replace(self._generation, last=version)
        batch.put(VERSION_KEY, encode_version(version, generation.number))
        batch.put(generation_key(generation.number), generation.encode())
        # Read before the write: a flush during it then shows at the next heartbeat, which costs one batch at most.
        flush_sign = self._property(_FLUSH_SIGN)
        with self._failures:
            self._opened().write(batch)
        self._flush_sign = flush_sign
        self.version = version
        self._generation = generation

    def _property(self, name: str) -> int:
        with self._failures:
            return self._opened().property_int_value(name) or 0

    def _opened(self) -> Rdict:
        if self._db is None:
            raise storage_error(self.path, "already closed")
        return self._db

    def _reads(self) -> DatabaseReads:
        return DatabaseReads(self._opened(), self._failures)

    def _close_database(self) -> None:
        database, self._db = self._db, None  # gone even if it fails: what nobody holds gives RocksDB's lock back
        if database is not None:
            with self._failures:
                database.close()


def database_exists(path: Path) -> bool:
    """Tells whether there is a database in ``path``; a folder alone, as a reader may have made, is none."""
    return (path / "CURRENT").is_file()


def _removed(path: Path) -> StorageError:
    return StorageError(
        f"{path} was removed or replaced while in use; the next start rebuilds what is gone from the log"
    )
