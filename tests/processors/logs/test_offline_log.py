from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.logs.offline_log import OfflineLog, read_rows, read_updates
from schemas.errors import StorageError, UnavailableError
from schemas.messages.updates import UpdateMessage
from schemas.types import Array, Field, Float64, Int64, Map, String, Struct, Timestamp
from tests.support.column_types import canonical, row_of, update_of, updates, view_of, views
from tests.support.histories import examples
from tests.support.memory_disk import MemoryDisk

A = view_of(1, (Field("x", Float64, required=False),))
B = view_of(2, (Field("n", Int64),), offline=False)
AT = 1_763_000_000_000_000


def opened(disk: MemoryDisk) -> OfflineLog:
    log = OfflineLog(disk, "prod", 3)
    log.open()
    return log


def message(offset: int, view: Any = A, value: Any = 1.5) -> UpdateMessage:
    return UpdateMessage(offset, update_of(view, [row_of("u", AT, AT // 1000, offset, value)]))


def logged(disk: MemoryDisk, from_offset: int = 0) -> list[int]:
    return [each.offset for each in read_updates(disk, "prod", 3, from_offset)]


@given(st.data(), views(7), views(8))
@examples(120)
def test_updates_come_back_as_they_went_in(data: st.DataObject, one: Any, other: Any) -> None:
    disk = MemoryDisk()
    log = opened(disk)
    sent: list[UpdateMessage] = []
    for _ in range(data.draw(st.integers(1, 3))):
        batch = [
            UpdateMessage(len(sent) + i, data.draw(updates(data.draw(st.sampled_from([one, other])))))
            for i in range(data.draw(st.integers(1, 3)))
        ]
        sent += batch
        log.append({7: one, 8: other}, batch, len(sent))
    read = list(read_updates(disk, "prod", 3))
    assert canonical(read) == canonical(sent)


def test_messages_that_the_log_has_are_skipped_also_after_it_was_opened_again() -> None:
    disk = MemoryDisk()
    opened(disk).append({1: A}, [message(0), message(1)], 2)
    log = opened(disk)
    log.append({1: A}, [message(0), message(1)], 2)
    log.append({1: A}, [message(1), message(2)], 3)
    assert log.next_offset == 3
    assert logged(disk) == [0, 1, 2]
    assert len(disk.files) == 1


def test_reading_begins_where_asked_also_within_a_block() -> None:
    disk = MemoryDisk()
    log = opened(disk)
    log.append({1: A}, [message(0), message(1), message(2)], 3)
    log.append({1: A}, [message(5)], 6)
    assert logged(disk, 1) == [1, 2, 5]
    assert logged(disk, 3) == [5]


def test_a_message_of_a_new_view_opens_a_segment_and_a_new_view_alone_does_not() -> None:
    disk = MemoryDisk()
    log = opened(disk)
    log.append({1: A}, [message(0)], 1)
    log.append({1: A, 2: B}, [message(1)], 2)
    assert len(disk.files) == 1
    log.append({1: A, 2: B}, [message(2, B, 5), message(3)], 4)
    log.append({1: A, 2: B}, [message(4)], 5)
    assert len(disk.files) == 2
    assert logged(disk) == [0, 1, 2, 3, 4]


def test_an_update_of_a_view_that_nobody_knows_is_not_written() -> None:
    disk = MemoryDisk()
    log = opened(disk)
    with pytest.raises(UnavailableError, match=r"update 1 is of view 2, .*plan 1"):
        log.append({1: A}, [message(0), message(1, B, 5)], 2)
    assert log.next_offset is None
    assert disk.files == {}


def test_a_full_disk_is_told_and_the_log_goes_on_once_there_is_room() -> None:
    disk = MemoryDisk()
    log = opened(disk)
    disk.full = True
    with pytest.raises(StorageError):
        log.append({1: A}, [message(0)], 1)
    disk.full = False
    log.append({1: A}, [message(0)], 1)
    assert logged(disk) == [0]


def test_what_a_crash_tore_off_is_taken_again() -> None:
    disk = MemoryDisk()
    log = opened(disk)
    log.append({1: A}, [message(0)], 1)
    log.append({1: A}, [message(1)], 2)
    (path, data), whole = next(iter(disk.files.items())), bytes(next(iter(disk.files.values())))
    del data[-3:]
    log = OfflineLog(disk, "prod", 3)
    assert log.open() > 0
    assert log.next_offset == 1
    log.append({1: A}, [message(0), message(1)], 2)
    assert bytes(disk.files[path]) == whole


def test_a_count_that_does_not_fit_its_block_is_damage_and_not_fewer_updates() -> None:
    disk = MemoryDisk()
    log = opened(disk)
    log.append({1: A}, [message(0), message(1)], 2)
    end = len(next(iter(disk.files.values())))
    log.append({1: A}, [message(2), message(3)], 4)
    (data,) = disk.files.values()
    assert data[end] == 4  # two objects, as an Avro long
    data[end] = 2
    with pytest.raises(StorageError, match="block with offset 2 is damaged"):
        logged(disk)


def test_rows_read_for_people_name_columns_and_version_whatever_the_offline_flag() -> None:
    disk = MemoryDisk()
    log = opened(disk)
    update = update_of(B, [row_of(None, AT + 1, 1_763_000_000_123, 42, 5, index=6)], source_partition=9)
    log.append({1: A, 2: B}, [message(0), UpdateMessage(1, update)], 2)
    assert list(read_rows(disk, "prod", 3, 2)) == [
        {
            "user": None,
            "at": datetime(2025, 11, 13, 2, 13, 20, 1, tzinfo=UTC),
            "n": 5,
            "_source_partition": 9,
            "_append_time": datetime(2025, 11, 13, 2, 13, 20, 123_000, tzinfo=UTC),
            "_offset": 42,
            "_index": 6,
        }
    ]


def test_any_avro_reader_reads_a_segment() -> None:
    inner = Struct((Field("since", Timestamp), Field("tags", Map(Array(String)))))
    view = view_of(1, (Field("rows", inner), Field("x", Float64)))
    disk = MemoryDisk()
    value = {"since": AT, "tags": {"-type": ["a", None], "b": None}}
    row = row_of("u", AT, AT // 1000, 4, value, float("-inf"))
    opened(disk).append({1: view}, [UpdateMessage(4, update_of(view, [row]))], 8)
    (path, data) = next(iter(disk.files.items()))
    assert path == "log/prod/partition=3/00000000000000000004.avro"
    (item,) = fastavro.reader(BytesIO(bytes(data)))
    at = datetime(2025, 11, 13, 2, 13, 20, tzinfo=UTC)
    assert item == {
        "offset": 4,
        "next_offset": 8,
        "plan": 1,
        "view": 1,
        "source_partition": 0,
        "rows": {
            "rows": [
                {
                    "_append_time": at,
                    "_offset": 4,
                    "_index": 0,
                    "user": "u",
                    "at": at,
                    "rows": {"since": at, "tags": value["tags"]},
                    "x": float("-inf"),
                }
            ]
        },
    }
