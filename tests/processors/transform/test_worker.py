"""What becomes of the records of a source, on a real broker: rows, dead letters, never silence, never a stop."""

import json
from typing import cast

import pytest
from confluent_kafka import Message

from infra.kafka.schema_registry import SchemaRegistry
from infra.segments.disk import LocalDisk
from infra.segments.log import read_objects
from processors.producer.messages import (
    DEAD_LETTER_APPEND_TIME,
    DEAD_LETTER_CODE,
    DEAD_LETTER_MESSAGE,
    DEAD_LETTER_OFFSET,
    DEAD_LETTER_PARTITION,
    DEAD_LETTER_SOURCE,
    DEAD_LETTER_VIEW,
)
from schemas.avro import schema as avro
from schemas.avro import wire
from schemas.messages.updates import PLAN_HEADER, REPLY_HEADER, ReplyAddress, plan_header
from schemas.topics import source_topic, value_subject
from tests.support.site import (
    HEAD,
    SOURCE,
    VIEW,
    Site,
    event,
    source_text,
    spending,
    view_text,
)
from tests.support.waiting import wait_until

UNKNOWN_ID = 1_000_000


def headers(letter: Message) -> dict[str, str]:
    pairs = cast("list[tuple[str, bytes]]", letter.headers() or [])
    return {name: value.decode() for name, value in pairs}


def codes(letters: list[Message]) -> list[tuple[str, str]]:
    return sorted((headers(letter)[DEAD_LETTER_CODE], headers(letter)[DEAD_LETTER_VIEW]) for letter in letters)


def source_log(site: Site, partition: int) -> list[dict[str, object]]:
    folder = f"log/{site.workspace}/source={SOURCE}/partition={partition}"
    return list(read_objects(LocalDisk(site.data), folder))


def test_records_of_a_direct_producer_reach_state_offline_log_and_source_log(served: Site) -> None:
    served.apply(spending())
    served.produce(event("ann", 1), event("bob", 5))
    served.produce(event("ann", 2), partition=1)
    served.waits_for({"ann": (2, 3), "bob": (1, 5)})
    served.waits_until_finished()
    assert served.logged() == {"ann": [1, 2], "bob": [5]}
    kept = [item["record"] for partition in range(2) for item in source_log(served, partition)]
    assert [record["value"]["amount"] for record in kept] == [1, 5, 2]  # type: ignore[index] # of a union of records
    assert served.dead_letters() == []


def test_what_cannot_be_decoded_is_a_dead_letter_with_its_bytes_and_the_partition_goes_on(served: Site) -> None:
    plan = served.apply(spending())
    own = plan.sources[SOURCE].schema_id
    junk = [
        b"no avro at all",
        None,
        b"",
        wire.MAGIC + UNKNOWN_ID.to_bytes(4, "big") + b"x",
        wire.MAGIC + own.to_bytes(4, "big") + b"\x02",
    ]
    served.produce(event("ann", 1), *junk, event("ann", 2))
    served.waits_for({"ann": (2, 3)})
    served.waits_until_finished()
    letters = sorted(served.dead_letters(), key=lambda letter: int(headers(letter)[DEAD_LETTER_OFFSET]))
    assert [letter.value() or b"" for letter in letters] == [value or b"" for value in junk]
    assert [headers(letter)[DEAD_LETTER_CODE] for letter in letters] == [
        "MALFORMED",
        "MALFORMED",
        "MALFORMED",
        "UNKNOWN_SCHEMA",
        "MALFORMED",
    ]
    first = headers(letters[0])
    assert int(first.pop(DEAD_LETTER_APPEND_TIME)) > 0
    assert first.pop(DEAD_LETTER_MESSAGE).startswith("expected the Confluent wire format")
    assert first == {
        DEAD_LETTER_SOURCE: SOURCE,
        DEAD_LETTER_PARTITION: "0",
        DEAD_LETTER_OFFSET: "1",
        DEAD_LETTER_VIEW: "",
        DEAD_LETTER_CODE: "MALFORMED",
    }
    assert [item["offset"] for item in source_log(served, 0)] == [0, 6]


FAILING = """user = record["user"]
    if user == "raise": raise ValueError("x" * 5_000)
    if user == "exit": raise SystemExit(3)
    if user == "interrupt": import signal, os; raise RuntimeError(os.strerror(2))
    if user == "type": return {**record, "amount": "many"}
    if user == "shape": return 7
    if user == "rows": return [record] * 1_001
    return record"""


def test_failing_functions_are_dead_letters_of_their_view_alone(served: Site) -> None:
    served.apply(HEAD, source_text(), view_text(body=FAILING), view_text("all_of_it"))
    bad = ["raise", "exit", "interrupt", "type", "shape", "rows"]
    served.produce(event("ann", 1), *[event(user, 1) for user in bad], event("ann", 2))
    served.waits_for({"ann": (2, 3), **dict.fromkeys(bad, (0, 0))})
    served.waits_for({"ann": (2, 3), **dict.fromkeys(bad, (1, 1))}, view="all_of_it@V1")
    served.waits_until_finished()
    letters = served.dead_letters()
    assert len(letters) == len(bad)
    assert {headers(letter)[DEAD_LETTER_VIEW] for letter in letters} == {VIEW}
    assert all(len(headers(letter)[DEAD_LETTER_MESSAGE]) <= 1_000 for letter in letters)


def test_records_of_another_writer_schema_are_resolved_once_the_registry_has_it(served: Site) -> None:
    served.apply(HEAD, source_text(more=', Field("note", String, required=False)'), view_text())
    document = json.loads(served.plan.sources[SOURCE].schema)
    document["fields"] = [each for each in document["fields"] if each["name"] != "note"]
    document["fields"].append({"name": "extra", "type": "int", "default": 0})
    older = json.dumps(document)
    registry = SchemaRegistry(served.bootstrap)
    registry.start()
    try:
        schema_id, _ = registry.register(value_subject(source_topic(served.workspace, SOURCE)), older)
    finally:
        registry.stop()
    record = event("ann", 3, extra=1)
    # Registered only just now: this processor has to read the registry to its end to know the id.
    served.produce(wire.frame(schema_id, avro.parse(older), record), event("ann", 4, note=None))
    served.waits_for({"ann": (2, 7)})
    served.waits_until_finished()
    assert served.dead_letters() == []


@pytest.mark.parametrize(
    "made_up",
    [
        {PLAN_HEADER: plan_header(2**63)},
        {PLAN_HEADER: b"short", REPLY_HEADER: b"x"},
        {PLAN_HEADER: b"", REPLY_HEADER: b""},
        {REPLY_HEADER: ReplyAddress(99, b"x", 0, "here").header(0)},
        {REPLY_HEADER: ReplyAddress(1, b"x" * 1_000, 0, "here").header(0)},
        {REPLY_HEADER: ReplyAddress(1, b"x", 0, "elsewhere").header(0)},
        {REPLY_HEADER: b"\0\0\0\0\0\0\0\1\0\0\1\xffx"},
    ],
    ids=[
        "a plan that was never published",
        "of the wrong length",
        "empty",
        "no such partition",
        "endless request",
        "of another installation",
        "of an installation that is no text",
    ],
)
def test_headers_that_a_producer_made_up_stop_nothing(served: Site, made_up: dict[str, bytes]) -> None:
    served.apply(spending())
    served.produce(event("ann", 1), headers=made_up)
    served.waits_for({"ann": (1, 1)})


def test_a_source_that_begins_to_be_logged_is_logged_from_then_on(served: Site) -> None:
    served.apply(spending(options=""))
    served.produce(event("ann", 1))
    served.waits_for({"ann": (1, 1)})
    served.apply(spending())
    wait_until(lambda: _logs_after(served))
    assert 0 not in [item["offset"] for item in source_log(served, 0)]


def _logs_after(site: Site) -> bool:
    site.produce(event("bob", 1))
    return bool(source_log(site, 0))
