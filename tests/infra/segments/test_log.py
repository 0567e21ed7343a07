import json
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.segments.disk import LocalDisk
from infra.segments.format import Block
from infra.segments.log import SegmentLog, read_blocks, read_objects
from schemas.errors import StorageError
from tests.support.memory_disk import MemoryDisk

FIELDS = [
    {"name": "offset", "type": "long"},
    {"name": "next_offset", "type": "long"},
    {"name": "text", "type": "string"},
]
SCHEMA = json.dumps({"type": "record", "name": "row", "fields": FIELDS})
OTHER_SCHEMA = json.dumps(
    {"type": "record", "name": "row", "fields": [*FIELDS, {"name": "more", "type": "long", "default": 0}]}
)
FIRST = "log/00000000000000000000.avro"


def encode(objects: list[dict[str, Any]], schema: str = SCHEMA) -> bytes:
    out = BytesIO()
    for each in objects:
        fastavro.schemaless_writer(out, json.loads(schema), each)
    return out.getvalue()


def rows(first: int, count: int, text: str = "text") -> list[dict[str, Any]]:
    return [
        {"offset": first + index, "next_offset": first + count, "text": f"{text} {index}"} for index in range(count)
    ]


def append(log: SegmentLog, objects: list[dict[str, Any]], schema: str = SCHEMA) -> None:
    first, last = objects[0], objects[-1]
    log.append(schema, len(objects), encode(objects, schema), first["offset"], last["next_offset"])


def opened(disk: MemoryDisk | LocalDisk, roll_bytes: int = 1 << 20) -> SegmentLog:
    log = SegmentLog(disk, "log", roll_bytes=roll_bytes)
    log.open()
    return log


def three_blocks() -> tuple[MemoryDisk, list[int], list[Block]]:
    """Returns a disk with one segment of three blocks, their ends, and the blocks."""
    disk = MemoryDisk()
    log = opened(disk)
    ends = []
    for first in (0, 3, 6):
        append(log, rows(first, 3))
        ends.append(disk.size(FIRST))
    return disk, ends, list(read_blocks(disk, "log"))


class TestWriting:
    def test_empty_log_has_no_next_offset(self) -> None:
        log = opened(MemoryDisk())
        assert log.next_offset is None
        assert list(read_blocks(MemoryDisk(), "log")) == []

    def test_stock_avro_reader_reads_a_segment(self, tmp_path: Path) -> None:
        log = opened(LocalDisk(tmp_path))
        append(log, rows(0, 3))
        append(log, rows(3, 2))
        with (tmp_path / FIRST).open("rb") as file:
            reader = fastavro.reader(file)
            assert list(reader) == rows(0, 3) + rows(3, 2)
            assert reader.metadata["headrace.format"] == "2"
            assert reader.metadata["headrace.after"] == "0"
            assert reader.codec == "snappy"

    def test_same_input_makes_the_same_bytes(self) -> None:
        disks = [MemoryDisk(), MemoryDisk()]
        for disk in disks:
            append(opened(disk), rows(5, 3))
        assert disks[0].files == disks[1].files

    def test_segments_roll_by_size_and_by_schema_and_are_named_by_their_first_offset(self) -> None:
        disk = MemoryDisk()
        log = opened(disk, roll_bytes=1)
        append(log, rows(0, 3))
        append(log, rows(7, 3))
        assert disk.list("log") == ["00000000000000000000.avro", "00000000000000000007.avro"]
        log = opened(disk)
        append(log, rows(10, 1))
        append(log, [{**rows(11, 1)[0], "more": 1}], OTHER_SCHEMA)
        assert disk.list("log")[1:] == ["00000000000000000007.avro", "00000000000000000011.avro"]
        assert [each["offset"] for each in read_objects(disk, "log")] == [0, 1, 2, 7, 8, 9, 10, 11]

    def test_what_the_log_has_is_refused(self) -> None:
        log = opened(MemoryDisk())
        append(log, rows(5, 3))
        with pytest.raises(ValueError, match="does not follow log, which is at 8"):
            append(log, rows(7, 3))
        append(log, rows(20, 1))
        assert log.next_offset == 21

    def test_offsets_that_are_not_those_of_the_payload_are_refused(self) -> None:
        log = opened(MemoryDisk())
        with pytest.raises(ValueError, match="does not begin with offset 1, next_offset 4"):
            log.append(SCHEMA, 3, encode(rows(0, 3)), 1, 4)
        with pytest.raises(ValueError, match="does not begin with"):
            log.append(SCHEMA, 0, encode(rows(0, 3)), 0, 3)
        with pytest.raises(ValueError, match="does not follow"):
            append(log, [{"offset": 3, "next_offset": 3, "text": ""}])

    def test_schema_without_the_offsets_is_refused(self) -> None:
        log = opened(MemoryDisk())
        schema = json.dumps({"type": "record", "name": "row", "fields": FIELDS[:1] + FIELDS[2:]})
        with pytest.raises(ValueError, match="begins with the fields offset: long, next_offset: long"):
            log.append(schema, 1, b"\x00\x02", 0, 1)

    def test_failed_append_leaves_the_log_as_it_was(self) -> None:
        disk = MemoryDisk()
        log = opened(disk)
        disk.full = True
        with pytest.raises(StorageError):
            append(log, rows(0, 3))
        assert log.next_offset is None
        disk.full = False
        append(log, rows(0, 3))
        disk.full = True
        with pytest.raises(StorageError):
            append(log, rows(3, 3))
        disk.full = False
        append(log, rows(3, 3))
        assert list(read_objects(disk, "log")) == rows(0, 3) + rows(3, 3)


class TestReading:
    def test_blocks_say_what_they_cover(self) -> None:
        _, _, blocks = three_blocks()
        assert [(block.first_offset, block.next_offset, block.count) for block in blocks] == [
            (0, 3, 3),
            (3, 6, 3),
            (6, 9, 3),
        ]
        assert blocks[1].payload == encode(rows(3, 3))
        assert blocks[1].schema == SCHEMA

    @pytest.mark.parametrize("roll_bytes", [1, 1 << 20])
    @pytest.mark.parametrize("from_offset", range(12))
    def test_reads_from_an_offset(self, roll_bytes: int, from_offset: int) -> None:
        disk = MemoryDisk()
        log = opened(disk, roll_bytes)
        for first in (1, 4, 8):
            append(log, rows(first, 2))
        offsets = [each["offset"] for each in read_objects(disk, "log", from_offset)]
        assert offsets == [offset for offset in (1, 2, 4, 5, 8, 9) if offset >= from_offset]

    def test_large_blocks_and_headers_are_read_whole(self) -> None:
        disk = MemoryDisk()
        log = opened(disk, roll_bytes=1 << 30)
        schema = json.dumps({**json.loads(SCHEMA), "doc": "x" * 100_000})
        blocks = [rows(0, 3, "y" * 900_000), rows(3, 1), rows(4, 2, "z" * 2_000_000)]
        for block in blocks:
            append(log, block, schema)
        assert list(read_objects(disk, "log")) == [row for block in blocks for row in block]
        assert opened(disk).next_offset == 6

    def test_other_files_in_the_folder_are_left_alone(self) -> None:
        disk, _, blocks = three_blocks()
        disk.append("log/README", b"text")
        assert list(read_blocks(disk, "log")) == blocks
        assert opened(disk).next_offset == 9
        assert disk.list("log")[-1] == "README"


class TestTornTails:
    @given(st.data())
    def test_any_prefix_opens_to_the_whole_blocks_in_it(self, data: st.DataObject) -> None:
        disk, ends, blocks = three_blocks()
        size = data.draw(st.integers(0, ends[-1]))
        disk.truncate(FIRST, size)
        check_torn(disk, ends, blocks, [end for end in ends if end <= size], size)

    @given(st.data(), st.binary(min_size=1, max_size=200) | st.integers(1, 9_000).map(bytes))
    def test_garbage_and_zeros_behind_any_prefix_are_cut(self, data: st.DataObject, garbage: bytes) -> None:
        disk, ends, blocks = three_blocks()
        size = data.draw(st.integers(0, ends[-1]))
        if disk.files[FIRST][size : size + len(garbage)] == garbage:
            return
        disk.truncate(FIRST, size)
        disk.append(FIRST, garbage)
        whole = [end for end in ends if end <= size or disk.read(FIRST)[:end] == three_blocks()[0].read(FIRST)[:end]]
        check_torn(disk, ends, blocks, whole, size + len(garbage))

    @given(st.data())
    def test_any_flipped_bit_in_the_last_block_is_noticed(self, data: st.DataObject) -> None:
        disk, ends, blocks = three_blocks()
        position = data.draw(st.integers(ends[1], ends[2] - 1))
        disk.files[FIRST][position] ^= 1 << data.draw(st.integers(0, 7))
        assert opened(disk).next_offset == 6
        assert disk.size(FIRST) == ends[1]
        assert list(read_blocks(disk, "log")) == blocks[:2]

    def test_log_goes_on_after_the_last_whole_block(self) -> None:
        disk, ends, _ = three_blocks()
        disk.truncate(FIRST, ends[2] - 1)
        log = SegmentLog(disk, "log")
        assert log.open() == ends[2] - 1 - ends[1]
        append(log, rows(6, 3))
        assert list(read_objects(disk, "log")) == rows(0, 3) + rows(3, 3) + rows(6, 3)

    def test_segments_without_a_whole_block_are_removed_and_the_one_before_is_looked_at(self) -> None:
        disk, ends, _ = three_blocks()
        disk.truncate(FIRST, ends[1] + 5)
        disk.append("log/00000000000000000009.avro", bytes(disk.files[FIRST][: ends[0] - 1]))
        disk.append("log/00000000000000000012.avro", b"Ob")
        log = SegmentLog(disk, "log")
        assert log.open() == 5 + ends[0] - 1 + 2
        assert log.next_offset == 6
        assert disk.list("log") == ["00000000000000000000.avro"]

    def test_log_of_one_torn_segment_is_empty(self) -> None:
        disk = MemoryDisk()
        disk.append(FIRST, bytes(4096))
        log = opened(disk)
        assert log.next_offset is None
        append(log, rows(0, 3))
        assert list(read_objects(disk, "log")) == rows(0, 3)


def check_torn(disk: MemoryDisk, ends: list[int], blocks: list[Block], whole: list[int], size: int) -> None:
    """Checks that a torn file reads and opens as its whole blocks, and that opening says what was cut."""
    assert list(read_blocks(disk, "log")) == blocks[: len(whole)]
    log = SegmentLog(disk, "log")
    cut = log.open()
    assert cut == size - (whole[-1] if whole else 0)
    assert log.next_offset == (blocks[len(whole) - 1].next_offset if whole else None)
    assert list(read_blocks(disk, "log")) == blocks[: len(whole)]
    assert bool(disk.list("log")) == bool(whole)
    assert not whole or disk.size(FIRST) == ends[len(whole) - 1]


READERS: list[Callable[[MemoryDisk], object]] = [
    lambda disk: list(read_objects(disk, "log")),
    lambda disk: SegmentLog(disk, "log").open(),
]


class TestDamage:
    @pytest.mark.parametrize("read", READERS)
    @given(data=st.data())
    def test_flipped_bit_before_the_last_block_is_an_error_and_cuts_nothing(
        self, read: Callable[[MemoryDisk], object], data: st.DataObject
    ) -> None:
        disk, ends, _ = three_blocks()
        header_end = ends[0] - (ends[1] - ends[0])
        position = data.draw(st.integers(header_end, ends[1] - 1))
        flipped = 1 << data.draw(st.integers(0, 7))
        disk.files[FIRST][position] ^= flipped
        before = bytes(disk.files[FIRST])
        bad = header_end if position < ends[0] else ends[0]
        if position == bad and 1 < flipped < 128 and read is READERS[1]:
            read(disk)  # no checksum covers a count; whoever decodes the block finds out
        else:
            with pytest.raises(StorageError, match=rf"{FIRST} is damaged at byte {bad}: .* \(truncate -s {bad}\)"):
                read(disk)
        assert disk.files[FIRST] == before

    @pytest.mark.parametrize("read", READERS)
    @given(data=st.data())
    def test_flipped_bit_in_the_header_is_an_error_and_cuts_nothing(
        self, read: Callable[[MemoryDisk], object], data: st.DataObject
    ) -> None:
        disk, ends, _ = three_blocks()
        header_end = ends[0] - (ends[1] - ends[0])
        disk.files[FIRST][data.draw(st.integers(0, header_end - 1))] ^= 1 << data.draw(st.integers(0, 7))
        before = bytes(disk.files[FIRST])
        with pytest.raises(StorageError, match=r"is damaged at byte 0|has format"):
            read(disk)
        assert disk.files[FIRST] == before

    def test_torn_segment_before_the_newest_is_an_error(self) -> None:
        disk, ends, _ = three_blocks()
        log = opened(disk, roll_bytes=1)
        append(log, rows(9, 3))
        disk.truncate(FIRST, ends[2] - 1)
        with pytest.raises(StorageError, match=f"damaged at byte {ends[1]}: the block is cut off"):
            list(read_blocks(disk, "log"))

    def test_segment_under_another_name_is_an_error(self) -> None:
        disk, _, _ = three_blocks()
        disk.append("log/00000000000000000042.avro", bytes(disk.files[FIRST]))
        with pytest.raises(StorageError, match="the one of the file's name"):
            list(read_blocks(disk, "log"))

    @pytest.mark.parametrize("read", READERS)
    def test_unknown_format_says_what_to_do(self, read: Callable[[MemoryDisk], object]) -> None:
        disk, _, _ = three_blocks()
        disk.files[FIRST] = bytearray(
            bytes(disk.files[FIRST]).replace(b"headrace.format\x022", b"headrace.format\x023")
        )
        with pytest.raises(StorageError, match="format 3, which this version of Headrace does not know: start the"):
            read(disk)


class TestPowerFailures:
    @given(st.data())
    def test_what_was_not_synced_is_cut_and_goes_on_where_the_log_says(self, data: st.DataObject) -> None:
        disk = MemoryDisk()
        log = opened(disk, roll_bytes=data.draw(st.integers(1, 600)))
        count = data.draw(st.integers(1, 8))
        for first in range(0, 3 * count, 3):
            append(log, rows(first, 3))
        for path in list(disk.files):
            disk.lose_tail(path, data.draw(st.integers(0, disk.size(path))))
        log = opened(disk, roll_bytes=1)
        assert list(read_objects(disk, "log")) == [
            row for first in range(0, log.next_offset or 0, 3) for row in rows(first, 3)
        ]
        for first in range(log.next_offset or 0, 30, 3):
            append(log, rows(first, 3))
        assert list(read_objects(disk, "log")) == [row for first in range(0, 30, 3) for row in rows(first, 3)]

    def test_segment_is_on_disk_before_the_next_one_is_begun(self) -> None:
        class Watching(MemoryDisk):
            def append(self, path: str, data: bytes) -> None:
                if path not in self.files:
                    assert all(self.synced.get(older) == self.size(older) for older in self.files)
                super().append(path, data)

        disk = Watching()
        log = opened(disk, roll_bytes=1)
        for first in (0, 3, 7):
            append(log, rows(first, 3))
        append(log, [{**rows(10, 1)[0], "more": 1}], OTHER_SCHEMA)
        assert len(disk.files) == 4

    def test_sync_that_fails_leaves_the_log_as_it_was(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def failing(path: str) -> None:
            raise StorageError(f"{path}: Input/output error")

        disk = MemoryDisk()
        log = opened(disk, roll_bytes=1)
        append(log, rows(0, 3))
        with monkeypatch.context() as patch:
            patch.setattr(disk, "sync", failing)
            with pytest.raises(StorageError, match=f"{FIRST}: Input/output error"):
                append(log, rows(3, 3))
        assert log.next_offset == 3
        append(log, rows(3, 3))
        assert list(read_objects(disk, "log")) == rows(0, 3) + rows(3, 3)


THIRD = "log/00000000000000000006.avro"
LAST = "log/00000000000000000012.avro"


def with_a_hole(cut: int | None) -> MemoryDisk:
    """Returns a disk that has lost the end of a segment before the newest.

    The segments hold offsets 0-2, 3-5, 6-8 with 9-11 (two blocks), and 12-14. ``cut``: to how many bytes the third is
    cut; None: after its first block, as if there had never been another.
    """
    disk = MemoryDisk()
    log = opened(disk, roll_bytes=1)
    append(log, rows(0, 3))
    append(log, rows(3, 3))
    append(log, rows(6, 3))
    block_end = disk.size(THIRD)
    append(opened(disk), rows(9, 3))
    append(opened(disk, roll_bytes=1), rows(12, 3))
    disk.files[THIRD][block_end if cut is None else cut :] = b""
    return disk


CUTS = {"between blocks": (None, 9), "in the second block": (-1, 9), "in the first block": (300, 6), "header": (10, 6)}


def expected_rows(end: int) -> list[dict[str, Any]]:
    return [row for first in range(0, end, 3) for row in rows(first, 3)]


@pytest.mark.parametrize(("cut", "begins"), CUTS.values(), ids=CUTS)
class TestHoles:
    def test_readers_report_it_and_read_up_to_it(self, cut: int | None, begins: int) -> None:
        disk = with_a_hole(cut)
        with pytest.raises(StorageError, match=rf"{LAST} goes on after offset 12|{THIRD} is damaged at byte"):
            list(read_objects(disk, "log"))
        assert [block.next_offset for block in read_blocks(disk, "log", end_offset=begins)] == [
            *range(3, begins + 1, 3)
        ]
        assert list(read_objects(disk, "log", 12)) == rows(12, 3)

    def test_opening_stands_where_it_begins_and_drops_nothing(self, cut: int | None, begins: int) -> None:
        disk = with_a_hole(cut)
        before = {path: bytes(data) for path, data in disk.files.items()}
        for _ in range(2):
            assert opened(disk).next_offset == begins
        assert disk.files == before

    @pytest.mark.parametrize("roll_bytes", [1, 1 << 20])
    def test_what_comes_again_fills_it(self, cut: int | None, begins: int, roll_bytes: int) -> None:
        disk = with_a_hole(cut)
        log = opened(disk, roll_bytes)
        append(log, rows(begins, 3))
        assert list(read_objects(disk, "log")) == expected_rows(begins + 3)
        for first in range(begins + 3, 21, 3):
            append(log, rows(first, 3))
        assert list(read_objects(disk, "log")) == expected_rows(21)
        assert opened(disk).next_offset == 21

    def test_where_it_begins_is_on_disk_once_what_was_behind_is_dropped(self, cut: int | None, begins: int) -> None:
        disk = with_a_hole(cut)
        disk.synced.clear()
        append(opened(disk), rows(begins, 3))
        assert disk.synced.get(THIRD if begins == 9 else "log/00000000000000000003.avro", 0) > 0

    def test_death_in_the_middle_of_dropping_changes_nothing(self, cut: int | None, begins: int) -> None:
        class Dying(MemoryDisk):
            effects = 0

            def remove(self, path: str) -> None:
                super().remove(path)
                self.live_on()

            def truncate(self, path: str, size: int) -> None:
                super().truncate(path, size)
                self.live_on()

            def live_on(self) -> None:
                self.effects -= 1
                if self.effects == 0:
                    raise KeyboardInterrupt

        for effects in (1, 2, 3):
            disk = Dying()
            disk.files, disk.effects = with_a_hole(cut).files, effects
            with suppress(KeyboardInterrupt):
                append(opened(disk), rows(begins, 3))
            log = opened(disk)
            assert log.next_offset in (begins, begins + 3)
            for first in range(log.next_offset or 0, 21, 3):
                append(log, rows(first, 3))
            assert list(read_objects(disk, "log")) == expected_rows(21)

    def test_what_kafka_no_longer_holds_is_told_and_drops_nothing(self, cut: int | None, begins: int) -> None:
        disk = with_a_hole(cut)
        before = {path: bytes(data) for path, data in disk.files.items()}
        log = opened(disk)
        for first in (12, 15):
            with pytest.raises(StorageError, match=f"log: offsets {begins} to 12 are missing before {LAST}, and Kafka"):
                append(log, rows(first, 3))
        assert disk.files == before


class TestOlderHoles:
    def test_reader_reports_a_segment_that_is_gone(self) -> None:
        disk = with_a_hole(None)
        disk.remove("log/00000000000000000003.avro")
        with pytest.raises(StorageError, match=f"{THIRD} goes on after offset 6, but the file before it ends at 3"):
            list(read_objects(disk, "log"))

    def test_log_whose_first_files_were_moved_away_begins_later(self) -> None:
        disk = with_a_hole(None)
        for first in (0, 3, 6):
            disk.remove(f"log/{first:020d}.avro")
        log = opened(disk)
        assert log.next_offset == 15
        append(log, rows(15, 3))
        assert list(read_objects(disk, "log")) == rows(12, 3) + rows(15, 3)

    def test_only_segment_before_the_newest_without_a_block(self) -> None:
        disk = MemoryDisk()
        log = opened(disk, roll_bytes=1)
        append(log, rows(6, 3))
        append(log, rows(9, 3))
        del disk.files[THIRD][20:]
        log = opened(disk)
        assert log.next_offset == 6
        append(log, rows(6, 3))
        append(log, rows(9, 3))
        assert list(read_objects(disk, "log")) == rows(6, 3) + rows(9, 3)

    def test_last_block_larger_than_what_is_looked_at_is_found_all_the_same(self) -> None:
        disk = MemoryDisk()
        log = opened(disk, roll_bytes=1)
        noise = "".join(map(chr, Random(1).choices(range(0x4E00, 0x9FFF), k=700_000)))
        append(log, rows(0, 1, noise))
        append(log, rows(1, 1))
        assert disk.size(FIRST) > 2 << 20
        assert opened(disk).next_offset == 2
