import json
from io import BytesIO
from typing import Any

import fastavro
import pytest

from infra.segments.log import read_blocks, read_objects
from processors.logs.source_log import SourceLog
from schemas.avro import schema as avro
from schemas.avro import wire
from schemas.errors import StorageError
from schemas.records.transform import SourceRecord
from tests.support.memory_disk import MemoryDisk

FOLDER = "log/prod/source=events/partition=2"
OLD = '{"type":"record","name":"event","namespace":"acme","fields":[{"name":"x","type":"double"}]}'
NEW = (
    '{"type":"record","name":"event","namespace":"acme","aliases":["happening"],"fields":[{"name":"x","type":"double"},'
    '{"name":"kind","type":{"type":"enum","name":"kind","symbols":["A","B"]}},{"name":"again","type":["null","kind"],'
    '"default":null},{"name":"hash","type":{"type":"fixed","name":"md","size":2}},'
    '{"name":"more","type":{"type":"map","values":{"type":"array","items":"acme.kind"}}},'
    '{"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}},'
    '{"name":"next","type":["null","event"],"default":null}]}'
)
ALTERNATIVES = f'["null",{OLD},"long"]'
SCHEMAS: dict[int, Any] = {n: avro.parse(text) for n, text in ((1, OLD), (2, NEW), (3, ALTERNATIVES))}
NEWEST = {"x": 2.5, "kind": "B", "again": "A", "hash": b"ab", "more": {"k": ["A"]}, "at": 5, "next": None}
TIME = 1_763_000_000_000


def record(offset: int, schema_id: int, event: Any) -> SourceRecord:
    return SourceRecord(2, offset, TIME + offset, wire.frame(schema_id, SCHEMAS[schema_id], event), None)


def opened(disk: MemoryDisk) -> SourceLog:
    log = SourceLog(disk, "prod", "events", 2)
    log.open()
    return log


def read(disk: MemoryDisk) -> list[tuple[int, Any]]:
    return [(item["offset"], item["record"]["value"]) for item in read_objects(disk, FOLDER)]


def test_records_of_several_schemas_lie_in_one_segment_in_their_order() -> None:
    disk = MemoryDisk()
    log = opened(disk)
    mixed = [record(0, 1, {"x": 1.0}), record(1, 2, NEWEST), record(2, 1, {"x": 3.0}), record(3, 3, {"x": 4.0})]
    log.append(mixed, SCHEMAS, 9)
    assert log.next_offset == 9
    assert len(disk.files) == 1
    found = read(disk)
    assert [offset for offset, _ in found] == [0, 1, 2, 3]
    assert [value["x"] for _, value in found] == [1.0, 2.5, 3.0, 4.0]
    assert found[1][1]["more"] == {"k": ["A"]}


def test_bodies_are_kept_byte_for_byte_under_the_id_that_the_producer_named() -> None:
    disk = MemoryDisk()
    sent = [record(4, 1, {"x": 1.0}), record(5, 2, NEWEST)]
    opened(disk).append(sent, SCHEMAS, 6)
    (block,) = read_blocks(disk, FOLDER)
    assert all(each.value[wire.PREFIX_BYTES :] in block.payload for each in sent)
    names = [branch["name"] for branch in json.loads(block.schema)["fields"][-1]["type"]]
    assert names == ["schema_1", "schema_2"]
    items = list(fastavro.reader(BytesIO(bytes(next(iter(disk.files.values()))))))
    assert [item["next_offset"] for item in items] == [6, 6]  # type: ignore[index,call-overload]  # the stub knows no records
    assert items[0]["append_time"].timestamp() * 1000 == TIME + 4  # type: ignore[index,call-overload,union-attr]  # as above


def test_a_new_schema_opens_a_segment_and_a_known_one_does_not() -> None:
    disk = MemoryDisk()
    log = opened(disk)
    for offset, schema_id in enumerate([1, 1, 2, 1, 2]):
        log.append([record(offset, schema_id, NEWEST)], SCHEMAS, offset + 1)
    assert len(disk.files) == 2
    assert [offset for offset, _ in read(disk)] == [0, 1, 2, 3, 4]


def test_records_that_the_log_has_are_skipped_also_after_it_was_opened_again() -> None:
    disk = MemoryDisk()
    sent = [record(offset, 1, {"x": 1.0}) for offset in range(3)]
    opened(disk).append(sent[:2], SCHEMAS, 2)
    log = opened(disk)
    log.append(sent[:2], SCHEMAS, 2)
    log.append(sent, SCHEMAS, 3)
    assert [offset for offset, _ in read(disk)] == [0, 1, 2]
    assert len(disk.files) == 1


def test_a_full_disk_is_told_and_the_log_goes_on_once_there_is_room() -> None:
    disk = MemoryDisk()
    log = opened(disk)
    disk.full = True
    with pytest.raises(StorageError):
        log.append([record(0, 1, {"x": 1.0})], SCHEMAS, 1)
    assert log.next_offset is None
    disk.full = False
    log.append([record(0, 1, {"x": 1.0})], SCHEMAS, 1)
    assert [offset for offset, _ in read(disk)] == [0]
