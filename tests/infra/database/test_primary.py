import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rocksdict import Rdict

from infra.database.layout import FORMAT_KEY, DatabaseResources, database_options, encode_number
from infra.database.primary import PrimaryDatabase
from infra.database.reads import SCAN_CHUNK, storage_error
from infra.database.version_file import VersionFileReader
from schemas.errors import LockedError, StorageError
from schemas.state.keys import FORMAT_VERSION
from tests.infra.database.conftest import Place, WriterProcess

Start = Callable[..., WriterProcess]


def published(place: Place) -> tuple[int, int]:
    reader = VersionFileReader(place.version_file)
    found = reader.read()
    reader.close()
    return found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrimaryDatabase]:
    """One database for all examples of a property."""
    with Place(tmp_path_factory.mktemp("shared"), DatabaseResources.of_sizes()).primary() as database:
        yield database


class TestReadsAndWrites:
    def test_batch_is_applied_in_order(self, place: Place) -> None:
        with place.primary() as database:
            database.write([(b"a", b"1"), (b"b", b"2"), (b"a", None), (b"c", b""), (b"b", b"3")])
            assert database.get_many([b"a", b"b", b"c", b"absent"]) == [None, b"3", b"", None]
            assert database.get(b"b") == b"3"
            assert database.get_many([]) == []

    def test_ranges_are_dropped_before_the_rest_of_their_batch(self, place: Place) -> None:
        with place.primary() as database:
            database.write([(b"k%03d" % index, b"old") for index in range(10)])
            database.write([(b"k003", b"new")], dropped=[(b"k002", b"k005"), (b"k008", b"l")])
            expected = [(b"k%03d" % index, b"new" if index == 3 else b"old") for index in (0, 1, 3, 5, 6, 7)]
            assert list(database.scan(b"k", b"l")) == expected
            assert database.get(b"k004") is None
            database.flush()
            assert list(database.scan(b"k", b"l")) == expected

    def test_scans_longer_than_a_chunk(self, place: Place) -> None:
        with place.primary() as database:
            expected = [(b"k%06d" % index, b"%d" % index) for index in range(2 * SCAN_CHUNK)]
            database.write(expected)
            assert list(database.scan(b"k", b"l")) == expected
            assert list(database.scan(b"k000007", b"k001999")) == expected[7:1999]
            assert list(database.scan(b"k", b"k%06d" % SCAN_CHUNK)) == expected[:SCAN_CHUNK]

    @given(
        st.dictionaries(st.binary(min_size=1, max_size=3).map(b"R".__add__), st.binary(max_size=3)),
        st.binary(max_size=4).map(b"R".__add__),
        st.binary(max_size=4).map(b"R".__add__),
    )
    def test_ranges_are_those_of_a_sorted_dict(
        self, shared: PrimaryDatabase, held: dict[bytes, bytes], start: bytes, end: bytes
    ) -> None:
        shared.write([(key, None) for key, _ in shared.scan(b"R", b"S")])
        shared.write(list(held.items()))
        expected = sorted((key, value) for key, value in held.items() if start <= key < end)
        assert list(shared.scan(start, end)) == expected
        assert shared.keys(start, end, 2) == [key for key, _ in expected[:2]]
        assert shared.last_before(start, end) == (expected[-1] if expected else None)

    def test_everything_is_there_after_a_close_and_after_a_kill(self, writer: WriterProcess, place: Place) -> None:
        writer("write", ["key", "value"])
        writer("close")
        writer("open")
        writer("write", ["other", "value"])
        writer.kill()
        with place.primary() as database:
            assert database.get_many([b"key", b"other"]) == [b"value", b"value"]

    def test_memtables_share_one_budget(self, tmp_path: Path) -> None:
        resources = DatabaseResources.of_sizes(write_buffer_bytes=8 << 20, memtable_bytes=64 << 20)
        places = [Place(tmp_path / str(index), resources) for index in range(3)]
        databases = [place.primary() for place in places]
        for turn in range(300):
            for database in databases:
                database.write([(b"%d %d" % (turn, index), os.urandom(1000)) for index in range(20)])
        assert resources.write_buffers.get_usage() <= 12 << 20
        for database in databases:
            database.close()


class TestPublication:
    def test_each_write_publishes_the_next_version(self, place: Place) -> None:
        with place.primary() as database:
            epoch, version = published(place)
            database.write([(b"a", b"1")])
            database.write([])
            assert published(place) == (epoch, version + 2) == (database.epoch, database.version)

    def test_opening_begins_a_new_epoch(self, place: Place) -> None:
        versions = []
        for _ in range(3):
            with place.primary():
                versions.append(published(place))
        assert len({epoch for epoch, _ in versions}) == 3
        assert versions == sorted(versions)

    def test_epochs_differ_where_nothing_is_known_of_those_before(self, place: Place) -> None:
        epochs = set()
        for _ in range(5):
            with place.primary() as database:
                epochs.add(database.epoch)
            shutil.rmtree(place.path)
            place.version_file.unlink()
        assert len(epochs) == 5

    def test_nothing_is_published_while_rebuilding_and_nothing_goes_back(self, place: Place) -> None:
        with place.primary() as database:
            for _ in range(100):
                database.write([(b"key", b"value")])
            before = published(place)
        shutil.rmtree(place.path)
        with PrimaryDatabase.open(
            place.path, version_file=place.version_file, resources=place.resources, lock_seconds=0
        ) as database:
            rebuilding = [database.rebuilding]
            database.write([(b"key", b"rebuilt")])
            assert published(place) == before
            database.promote()
            assert [*rebuilding, database.rebuilding] == [True, False]
            assert published(place) == (database.epoch, database.version)
            assert database.epoch > before[0]
            assert database.version == before[1] + 1
            assert database.get(b"key") == b"rebuilt"
            database.write([(b"key", b"after")])
        with place.primary() as database:
            assert not database.rebuilding
            assert database.get(b"key") == b"after"

    def test_version_file_that_was_lost_is_made_from_the_database(self, place: Place) -> None:
        with place.primary() as database:
            database.write([(b"key", b"value")])
            before = published(place)
        place.version_file.unlink()
        with place.primary() as database:
            assert published(place) == (database.epoch, database.version)
            assert database.epoch > before[0]
            assert database.version == before[1] + 1

    def test_heartbeat_writes_only_after_a_flush(self, place: Place) -> None:
        with place.primary() as database:
            raw = database._db  # noqa: SLF001 - what RocksDB does by itself has no public name
            assert raw is not None
            database.write([(b"key", b"value")])
            before = raw.latest_sequence_number()
            database.heartbeat()
            assert raw.latest_sequence_number() == before
            raw.flush()
            database.heartbeat()
            assert raw.latest_sequence_number() == before + 2
            database.heartbeat()
            assert raw.latest_sequence_number() == before + 2
            database.flush()
            assert raw.latest_sequence_number() == before + 4
            assert published(place) == (database.epoch, database.version)


class TestRebuild:
    def test_crash_while_rebuilding_begins_again(self, start_writer: Start, place: Place) -> None:
        first = start_writer()
        assert first("open")
        first("write", ["left", "over"])
        first.kill()
        second = start_writer()
        assert second("open")
        second("promote")
        second("close")
        with place.primary() as database:
            assert database.get(b"left") is None
        assert not place.path.with_name("state.rebuild").exists()

    def test_folder_without_a_database_in_it_is_rebuilt(self, place: Place) -> None:
        place.path.mkdir()
        (place.path / "rocksdict-config.json").write_text("left by a reader")
        place.primary().close()
        with place.primary() as database:
            assert not database.rebuilding

    def test_only_a_rebuilt_database_is_promoted(self, place: Place) -> None:
        with place.primary() as database, pytest.raises(StorageError, match="nothing to promote"):
            database.promote()

    def test_rename_that_fails_is_named(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        def failing(_source: Path, target: Path) -> None:
            raise OSError(28, "No space left on device", str(target))

        database = PrimaryDatabase.open(
            place.path, version_file=place.version_file, resources=place.resources, lock_seconds=0
        )
        monkeypatch.setattr(Path, "rename", failing)
        with pytest.raises(StorageError, match="the disk is full: free space"):
            database.promote()
        database.close()


class TestLocks:
    def test_second_owner_waits_for_the_first(self, writer: WriterProcess, place: Place) -> None:
        with pytest.raises(StorageError, match=r"another process keeps it open: look for"):
            place.primary(lock_seconds=0.1)
        before, _ = published(place)
        writer.start("close")
        with place.primary(lock_seconds=20) as database:
            assert database.epoch > before

    def test_stopped_owner_of_a_deleted_folder_still_keeps_others_out(
        self, writer: WriterProcess, place: Place
    ) -> None:
        shutil.rmtree(place.path)
        with pytest.raises(StorageError, match="another process keeps it open"):
            place.primary(lock_seconds=0)
        writer.kill()
        place.primary(lock_seconds=20).close()

    @pytest.mark.parametrize("what", ["state", "state.lock"])
    @pytest.mark.parametrize("replaced", [False, True])
    def test_owner_knows_that_folder_or_lock_is_not_in_its_place(
        self, place: Place, what: str, *, replaced: bool
    ) -> None:
        with place.primary() as database:
            database.check_in_place()
            (place.root / what).rename(place.root / "moved")
            if replaced:
                shutil.copytree(place.root / "moved", place.path) if what == "state" else (place.root / what).touch()
            with pytest.raises(StorageError, match=f"{what} was removed or replaced while in use"):
                database.check_in_place()

    def test_owner_without_its_lock_is_noticed_even_while_it_rebuilds(self, place: Place) -> None:
        with PrimaryDatabase.open(
            place.path, version_file=place.version_file, resources=place.resources, lock_seconds=0
        ) as database:
            database.check_in_place()
            (place.root / "state.lock").unlink()
            with pytest.raises(StorageError, match="lock was removed or replaced"):
                database.check_in_place()

    def test_second_owner_waits_for_the_first_without_its_lock_file_too(self, place: Place) -> None:
        with place.primary():
            (place.root / "state.lock").unlink()
            with pytest.raises(StorageError, match="another process keeps it open"):
                place.primary(lock_seconds=0.1)

    def test_owner_that_knows_no_lock_file_is_waited_for_too(self, place: Place) -> None:
        place.primary().close()
        raw = Rdict(str(place.path), database_options(place.resources))
        with pytest.raises(StorageError, match="another process keeps it open"):
            place.primary(lock_seconds=0.1)
        raw.close()
        place.primary().close()

    def test_unfinished_scan_does_not_keep_the_lock(self, place: Place) -> None:
        database = place.primary()
        database.write([(b"k%06d" % index, b"") for index in range(2 * SCAN_CHUNK)])
        scan = database.scan(b"k", b"l")
        next(scan)
        database.close()
        with place.primary(lock_seconds=0), pytest.raises(StorageError, match="not open in this process any more"):
            list(scan)

    def test_closed_database_says_so_and_closes_again(self, place: Place) -> None:
        database = place.primary()
        database.close()
        uses: list[Callable[[], object]] = [
            lambda: database.get(b"key"),
            lambda: database.write([]),
            database.flush,
            database.heartbeat,
        ]
        for use in uses:
            with pytest.raises(StorageError, match="not open in this process any more"):
                use()
        database.close()


class TestBadDisks:
    @pytest.mark.parametrize("other", [FORMAT_VERSION - 1, FORMAT_VERSION + 1, 99])
    def test_unknown_format_says_what_to_do(self, place: Place, other: int) -> None:
        with place.primary() as database:
            database.write([(FORMAT_KEY, encode_number(other))])
        told = f"format version {other}, this version of Headrace knows {FORMAT_VERSION}: start the version"
        with pytest.raises(StorageError, match=told):
            place.primary()

    def test_damaged_file_says_that_the_folder_may_be_deleted(self, place: Place) -> None:
        with place.primary() as database:
            database.write([(b"k%06d" % index, os.urandom(100)) for index in range(5_000)])
        largest = max(place.path.glob("*.sst"), key=lambda path: path.stat().st_size)
        data = bytearray(largest.read_bytes())
        data[len(data) // 4 : len(data) // 2] = os.urandom(len(data) // 2 - len(data) // 4)
        largest.write_bytes(data)
        with place.primary() as database:
            reads: list[Callable[[], object]] = [
                lambda: database.get(b"k001700"),
                lambda: database.get_many([b"k001700"]),
                lambda: list(database.scan(b"k", b"l")),
                lambda: database.keys(b"k", b"l", 5_000),
                lambda: database.last_before(b"k", b"k001700"),
            ]
            for read in reads:
                with pytest.raises(StorageError, match="delete the folder and start again; it is rebuilt"):
                    read()

    def test_damaged_head_says_that_the_folder_may_be_deleted(self, place: Place) -> None:
        place.primary().close()
        (place.path / "CURRENT").write_text("nonsense")
        with pytest.raises(StorageError, match=f"{place.path}: the database is damaged: stop this process, delete"):
            place.primary()

    @pytest.mark.parametrize("kind", ["folder", "rebuild", "version file"])
    def test_file_in_the_way_is_named(self, place: Place, kind: str) -> None:
        target = {
            "folder": place.root / "x" / "state",
            "rebuild": place.root / "state",
            "version file": place.root / "state",
        }[kind]
        version_file = place.root / "y" / "version" if kind == "version file" else place.version_file
        (place.root / {"folder": "x", "rebuild": "state.rebuild", "version file": "y"}[kind]).touch()
        with pytest.raises(StorageError, match=str(place.root)):
            PrimaryDatabase.open(target, version_file=version_file, resources=place.resources, lock_seconds=0)

    def test_what_rocksdb_says_is_kept_beside_the_remedy(self) -> None:
        error = storage_error(Path("/state"), "IO error: No space left on device: while appending")
        assert "database /state: the disk is full: free space" in error.message
        assert "(IO error: No space left on device: while appending)" in error.message
        assert "check the disk and the permissions" in storage_error(Path("/state"), "IO error: odd").message


def test_one_writes_and_any_number_read(place: Place) -> None:
    with place.primary() as primary, place.secondary() as one, place.secondary() as other:
        with pytest.raises(LockedError):
            place.primary(lock_seconds=0)
        primary.write([(b"key", b"value")])
        for secondary in (one, other):
            secondary.refresh()
            assert secondary.get(b"key") == b"value"
