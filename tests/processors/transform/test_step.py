from collections import Counter

import pytest

from infra.segments.log import read_objects
from processors.logs.source_log import SourceLog
from processors.producer.messages import OutMessage
from processors.transform.step import Writers, finish, start_offset
from schemas.avro import schema as avro
from schemas.avro import wire
from schemas.definitions.plan import Plan
from schemas.errors import StorageError
from schemas.messages.updates import Transformed, decode_acks, decode_update
from schemas.records.transform import SourceRecord
from tests.support.flow import OWN_ID, SOURCE, WORKSPACE, body, events, plan, record, transform
from tests.support.memory_disk import MemoryDisk

PLAN = plan()
WIDER = (
    '{"type":"record","name":"events","fields":[{"name":"user","type":"string"},{"name":"amount","type":"double"},'
    '{"name":"extra","type":"string"},{"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}}]}'
)


def source_log(disk: MemoryDisk) -> SourceLog:
    log = SourceLog(disk, WORKSPACE, SOURCE, 1)
    log.open()
    return log


def run(
    records: list[SourceRecord], writers: Writers, log: SourceLog | None = None, of: Plan = PLAN
) -> list[OutMessage]:
    subject = transform(of)
    return finish(subject, log, records, subject(records, writers), writers)


def logged(disk: MemoryDisk) -> list[int]:
    return [item["offset"] for item in read_objects(disk, "log/prod/source=events/partition=1")]


def rows(messages: list[OutMessage]) -> Counter[tuple[int, int]]:
    """Returns how often each row, as (view, offset), was sent."""
    updates = [decode_update(m.value or b"") for m in messages if m.topic == "prod.updates"]
    return Counter((update.view, row.offset) for update in updates for row in update.rows)


def test_updates_dead_letters_and_answers_are_sent_in_this_order() -> None:
    messages = run(events(PLAN, 2.0, b"broken", -1.0, waiting=True), {})
    topics = [message.topic for message in messages]
    assert topics == sorted(topics, key=["prod.updates", "prod.dead-letter.events", "prod.acks"].index)
    assert rows(messages) == {(1, 0): 1, (2, 0): 1, (1, 2): 1}
    answers = {ack.index: ack for m in messages if m.topic == "prod.acks" for ack in decode_acks(m.value or b"")}
    assert sorted(answers) == [0, 1, 2]
    last = answers[2]
    assert isinstance(last, Transformed)
    assert [(view, count) for view, _, count in last.sent] == [(1, 1)]


def test_a_record_that_does_not_decode_is_a_dead_letter_and_not_in_the_source_log() -> None:
    disk = MemoryDisk()
    unknown = wire.frame(99, avro.parse(PLAN.sources[SOURCE].schema), {"user": "u", "amount": 1.0, "at": 5})
    sent = events(PLAN, 1.0, b"broken", 2.0, unknown, b"")
    messages = run(sent, {99: None}, source_log(disk))
    letters = [m for m in messages if m.topic == "prod.dead-letter.events"]
    assert [letter.value for letter in letters] == [b"broken", unknown, b""]
    assert [dict(letter.headers)["headrace-code"] for letter in letters] == [
        b"MALFORMED",
        b"UNKNOWN_SCHEMA",
        b"MALFORMED",
    ]
    assert logged(disk) == [0, 2]
    assert source_log(disk).next_offset == 5


def test_a_record_whose_view_fails_is_a_dead_letter_of_that_view_and_in_the_source_log() -> None:
    disk = MemoryDisk()
    messages = run(events(PLAN, 0.0), {}, source_log(disk))
    (letter,) = [m for m in messages if m.topic == "prod.dead-letter.events"]
    assert dict(letter.headers)["headrace-view"] == b"totals@V1"
    assert rows(messages) == {(1, 0): 1}
    assert logged(disk) == [0]


def test_records_that_are_read_again_are_sent_again_and_logged_once() -> None:
    disk = MemoryDisk()
    sent = events(PLAN, 1.0, 2.0, 3.0)
    run(sent[:2], {}, source_log(disk))
    messages = run(sent, {}, source_log(disk))
    assert rows(messages) == {(view, offset): 1 for view in (1, 2) for offset in range(3)}
    assert logged(disk) == [0, 1, 2]


def test_records_of_another_writers_schema_are_transformed_and_logged_as_they_came() -> None:
    disk = MemoryDisk()
    writer = avro.parse(WIDER)
    wide = wire.frame(77, writer, {"user": "w", "amount": 4.0, "extra": "more", "at": 7_000})
    messages = run([record(0, wide), record(1, body(PLAN.sources[SOURCE], "u", 1.0))], {77: writer}, source_log(disk))
    assert rows(messages)[1, 0] == 1
    items = list(read_objects(disk, "log/prod/source=events/partition=1"))
    assert items[0]["record"]["value"]["extra"] == "more"
    assert "extra" not in items[1]["record"]["value"]


def test_a_source_log_that_cannot_be_written_ends_the_batch_before_anything_is_sent() -> None:
    disk = MemoryDisk()
    log = source_log(disk)
    disk.full = True
    with pytest.raises(StorageError):
        run(events(PLAN, 1.0), {}, log)
    disk.full = False
    assert rows(run(events(PLAN, 1.0), {}, log)) == {(1, 0): 1, (2, 0): 1}


def test_updates_say_which_plan_made_them() -> None:
    sent = run(events(PLAN, 1.0), {}, of=plan(6))
    assert {decode_update(m.value or b"").plan for m in sent if m.topic == "prod.updates"} == {6}


def test_reading_goes_on_at_the_lower_of_group_and_source_log() -> None:
    disk = MemoryDisk()
    assert start_offset(None, 7) == 7
    assert start_offset(None, None) is None
    assert start_offset(source_log(disk), 7) is None
    run(events(PLAN, 1.0, 2.0), {}, source_log(disk))
    assert start_offset(source_log(disk), 7) == 2
    assert start_offset(source_log(disk), 1) == 1
    assert start_offset(source_log(disk), None) is None


def test_the_sources_own_schema_need_not_be_looked_up() -> None:
    disk = MemoryDisk()
    run(events(PLAN, 1.0), {OWN_ID: avro.parse(PLAN.sources[SOURCE].schema)}, source_log(disk))
    run(events(PLAN, 1.0, 2.0), {}, source_log(disk))
    assert logged(disk) == [0, 1]
    assert len(disk.files) == 1
