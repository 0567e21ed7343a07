"""Each way in which a RocksDB secondary is known to read old values, with the writer in another process.

``TestLibrary`` documents what the library does by itself (rocksdict 0.3.29, RocksDB 9.8.4). If one of its tests fails
after an upgrade, the case is healed and its part of ``infra.database.secondary`` may go.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from rocksdict import AccessType, Rdict, ReadOptions

from infra.database.layout import database_options
from infra.database.secondary import GENERATIONS_CHECKED, SecondaryDatabase
from schemas.errors import UnavailableError
from tests.infra.database.conftest import Place, WriterProcess

Start = Callable[..., WriterProcess]


class TestLibrary:
    @pytest.fixture
    def raw_writer(self, start_writer: Start) -> WriterProcess:
        process = start_writer()
        process("raw_open")
        process("raw_put", "key", "old")
        return process

    @pytest.fixture
    def raw(self, raw_writer: WriterProcess, place: Place) -> Iterator[Rdict]:
        assert raw_writer.process.poll() is None
        access = AccessType.secondary(str(place.secondaries / "raw"))
        place.secondaries.mkdir()
        db = Rdict(str(place.path), database_options(place.resources), access_type=access)
        db.try_catch_up_with_primary()
        assert db.get(b"key") == b"old"
        yield db
        db.close()

    def test_flush_hides_the_new_value(self, raw_writer: WriterProcess, raw: Rdict) -> None:
        raw_writer("raw_put", "key", "new")
        raw_writer("raw_flush")
        for _ in range(3):
            raw.try_catch_up_with_primary()
        assert raw.get(b"key") == b"old"
        assert raw.get([b"key"]) == [b"old"]

    def test_deleted_key_stays_readable_after_a_flush(self, raw_writer: WriterProcess, raw: Rdict) -> None:
        raw_writer("raw_delete", "key")
        raw_writer("raw_flush")
        raw.try_catch_up_with_primary()
        assert raw.get(b"key") == b"old"

    def test_reopened_writer_hides_the_new_value(self, raw_writer: WriterProcess, raw: Rdict) -> None:
        raw_writer("raw_put", "key", "new")
        raw_writer("raw_close")
        raw_writer("raw_open")
        raw.try_catch_up_with_primary()
        assert raw.get(b"key") == b"old"
        raw_writer("raw_put", "other", "value")
        raw.try_catch_up_with_primary()
        assert raw.get(b"other") == b"value"

    def test_folder_made_anew_is_not_followed(self, raw_writer: WriterProcess, raw: Rdict, place: Place) -> None:
        raw_writer("raw_close")
        shutil.rmtree(place.path)
        raw_writer("raw_open")
        raw_writer("raw_put", "key", "new")
        with suppress(Exception):  # whether it notices depends on which files have the same numbers
            raw.try_catch_up_with_primary()
        assert raw.get(b"key") == b"old"

    def test_lower_bound_of_read_options_sets_the_upper_bound(self, tmp_path: Path, place: Place) -> None:
        with Rdict(str(tmp_path / "db"), database_options(place.resources)) as db:
            db[b"a"] = db[b"b"] = db[b"c"] = b"value"
            options = ReadOptions()
            options.set_iterate_lower_bound(b"b")
            assert list(db.keys(read_opt=options)) == [b"a"]


class TestRefresh:
    @pytest.fixture
    def reader(self, writer: WriterProcess, place: Place) -> Iterator[SecondaryDatabase]:
        writer("write", ["key", "old"])
        with place.secondary() as database:
            database.refresh()
            assert database.get(b"key") == b"old"
            yield database

    @pytest.mark.parametrize(
        ("change", "value"),
        [
            (("write", ["key", "new"]), "new"),
            (("write", ["key", None]), None),
            (("drop", "k", "l"), None),
        ],
    )
    @pytest.mark.parametrize(
        "steps",
        [
            ["bare_flush"],
            ["close"],
            ["close", "open"],
            ["close", "open", "write"],
            ["close", "open", "bare_flush"],
            ["close", "open", "write", "bare_flush"],
            ["bare_flush", "close", "open"],
        ],
        ids=" ".join,
    )
    def test_written_or_deleted_and_then(
        self,
        writer: WriterProcess,
        reader: SecondaryDatabase,
        change: Sequence[Any],
        value: str | None,
        steps: list[str],
    ) -> None:
        writer(*change)
        for step in steps:
            writer(step, *([["other", "value"]] if step == "write" else []))
        reader.refresh()
        expected = None if value is None else value.encode()
        assert reader.get(b"key") == expected
        assert reader.get_many([b"key"]) == [expected]
        assert dict(reader.scan(b"a", b"z")).get(b"key") == expected
        assert reader.reopens == 2

    def test_flush_by_the_database_itself_needs_no_reopening(
        self, writer: WriterProcess, reader: SecondaryDatabase
    ) -> None:
        writer("write", ["key", "new"])
        writer("flush")
        reader.refresh()
        assert reader.get(b"key") == b"new"
        assert reader.reopens == 1

    def test_heartbeat_after_a_flush_in_the_background_spares_the_reopening(
        self, writer: WriterProcess, reader: SecondaryDatabase
    ) -> None:
        writer("write", ["key", "new"])
        writer("bare_flush")
        writer("heartbeat")
        reader.refresh()
        assert reader.get(b"key") == b"new"
        assert reader.reopens == 1

    @pytest.mark.parametrize("generation", [False, True])
    def test_batches_missing_in_the_middle_are_noticed(
        self, writer: WriterProcess, reader: SecondaryDatabase, *, generation: bool
    ) -> None:
        writer("skip", generation=generation)
        with pytest.raises(UnavailableError, match="does not show what was published"):
            reader.refresh()
        for _ in range(GENERATIONS_CHECKED):
            writer("write", ["key", "new"])
            writer("flush")
        reader.refresh()
        assert reader.get(b"key") == b"new"

    def test_reader_that_is_far_behind_catches_up_in_one_go(
        self, writer: WriterProcess, reader: SecondaryDatabase
    ) -> None:
        writer("churn", 20_000, 4, compact=False)
        reader.refresh()
        assert reader.get(b"k0") is not None
        assert reader.reopens == 1

    def test_killed_writer(self, writer: WriterProcess, reader: SecondaryDatabase, start_writer: Start) -> None:
        writer("write", ["key", "new"])
        writer.kill()
        reader.refresh()
        assert reader.get(b"key") == b"new"
        successor = start_writer()
        assert not successor("open")
        assert successor("write", ["key", "newer"]) > reader.version
        reader.refresh()
        assert reader.get(b"key") == b"newer"

    def test_batch_that_a_crash_left_unpublished_may_show_and_never_goes_away(
        self, writer: WriterProcess, reader: SecondaryDatabase, start_writer: Start
    ) -> None:
        writer("write", ["key", "new"])
        writer("unpublished", "key", "newer")
        reader.refresh()
        assert reader.get(b"key") == b"newer"
        writer.kill()
        start_writer()("open")
        reader.refresh()
        assert reader.get(b"key") == b"newer"

    def test_folder_deleted_and_rebuilt(self, writer: WriterProcess, reader: SecondaryDatabase, place: Place) -> None:
        published = writer("write", ["key", "new"])
        reader.refresh()
        writer("close")
        shutil.rmtree(place.path)
        assert writer("open")
        writer("write", ["key", "half of the log"])
        reader.refresh()
        assert reader.get(b"key") == b"new", "while rebuilding readers keep what they have"
        assert reader.version == published
        writer("write", ["key", "newer"])
        writer("promote")
        reader.refresh()
        assert reader.get(b"key") == b"newer"
        assert reader.version > published


def follow(writer: WriterProcess, reader: SecondaryDatabase, last: int, *, compact: bool) -> None:
    """Reads while the writer writes up to version ``last``, and checks that no read is stale or goes back in time."""
    keys = 16
    begun = writer("write", ["key", "value"])
    found = dict.fromkeys(range(keys), 0)
    writer.start("churn", last, keys, compact=compact)
    while reader.version < last and writer.process.poll() is None:
        reader.refresh()
        for key in range(keys):
            newest = reader.version - (reader.version - key) % keys
            value = int((reader.get(b"k%d" % key) or b"0 ").split()[0])
            assert value >= newest or newest <= begun, f"version {reader.version}, key {key} is stale"
            assert value >= found[key], f"version {reader.version}, key {key} went back in time"
            found[key] = value
    writer.result()
    assert max(found.values()) == last


@pytest.mark.parametrize(
    ("memtable_bytes", "compact", "last"),
    [
        (64 << 10, False, 20_000),
        pytest.param(64 << 10, True, 15_000, marks=pytest.mark.slow),
        pytest.param(4 << 20, True, 15_000, marks=pytest.mark.slow),
        pytest.param(64 << 10, False, 100_000, marks=[pytest.mark.long, pytest.mark.timeout(600)]),
    ],
)
def test_no_read_is_stale_while_memtables_rotate_and_files_are_compacted(
    start_writer: Start, place: Place, memtable_bytes: int, last: int, *, compact: bool
) -> None:
    writer = start_writer(memtable_bytes)
    writer("open")
    writer("promote")
    with place.secondary() as reader:
        follow(writer, reader, last, compact=compact)


def write_then_read(writer: WriterProcess, reader: SecondaryDatabase, trials: int) -> int:
    """Returns how many of the trials read another value than the one just written."""
    stale = 0
    for trial in range(trials):
        key, value = f"k{trial % 97}", str(trial)
        writer("write", [key, value])
        reader.refresh()
        stale += reader.get(key.encode()) != value.encode()
    return stale


@pytest.mark.parametrize("memtable_bytes", [64 << 10, 4 << 20])
def test_write_then_read_is_never_stale(start_writer: Start, place: Place, memtable_bytes: int) -> None:
    writer = start_writer(memtable_bytes)
    writer("open")
    writer("promote")
    with place.secondary() as reader:
        assert write_then_read(writer, reader, 1_500) == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_write_then_read_is_never_stale_in_20_000_trials(start_writer: Start, place: Place) -> None:
    writer = start_writer(256 << 10)
    writer("open")
    writer("promote")
    with place.secondary() as reader:
        assert write_then_read(writer, reader, 20_000) == 0
