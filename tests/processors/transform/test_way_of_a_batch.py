"""The way of a batch through the worker, without Kafka: what is sent, when it is given back, what it waits for."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Message

from infra.paths import in_flight_path
from infra.user_code.child import Code
from processors.consumer.batches import Batch
from processors.consumer.faust_channels import process
from processors.execution.functions import PlanFunctions
from processors.producer.messages import OutMessage
from processors.transform.dead_letter_log import MORE, ONE, QUIET_SECONDS, DeadLetterLog
from processors.transform.worker import TransformShared, TransformWorker
from processors.transform.writer_schemas import WriterSchemas
from schemas.definitions.plan import Plan
from schemas.definitions.repository import load_views
from schemas.errors import LockedError, StorageError
from schemas.messages.updates import PLAN_HEADER, decode_update, plan_header
from schemas.records.transform import SourceRecord
from schemas.topics import source_topic
from tests.support.flow import INSTALLATION, SOURCE, WORKSPACE, body, plan
from tests.support.memory_disk import MemoryDisk

PLAN = plan()
SECONDS = 20.0
TOPIC = source_topic(WORKSPACE, SOURCE)


@dataclass
class Given:
    """A message as Kafka's client gives it."""

    at: int
    bytes_of: bytes
    plan: int = 0

    def topic(self) -> str:
        return TOPIC

    def partition(self) -> int:
        return 1

    def offset(self) -> int:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_LOG_APPEND_TIME, 1_763_000_000_000

    def value(self) -> bytes:
        return self.bytes_of

    def headers(self) -> list[tuple[str, bytes]]:
        return [(PLAN_HEADER, plan_header(self.plan))]


class Definitions:
    def __init__(self) -> None:
        self.here = PLAN

    def plan(self, workspace: str) -> Plan:
        assert workspace == WORKSPACE
        return self.here

    def read_to(self, workspace: str, number: int, timeout: float) -> None:
        assert (workspace, timeout > 0) == (WORKSPACE, True)
        self.here = plan(number)


class Functions:
    def __init__(self) -> None:
        self._made = PlanFunctions(load_views(PLAN.files, "flow", {}).functions(), {}, [Code("flow", {}, {}, [])])

    def of(self, _plan: Plan) -> PlanFunctions:
        return self._made


class Deliveries:
    """Keeps what is sent, and delivers it when it is told to."""

    def __init__(self) -> None:
        self.sent: list[list[OutMessage]] = []
        self.undelivered: list[Callable[[], None]] = []

    async def send(self, messages: Sequence[OutMessage], done: Callable[[], None]) -> None:
        self.sent.append(list(messages))
        self.undelivered.append(done)


class World:
    def __init__(self, data: Path) -> None:
        self.disk = MemoryDisk()
        self.definitions = Definitions()
        self.deliveries = Deliveries()
        self.turns: list[Batch] = []
        self.turn = asyncio.Event()
        self.given_back: list[str] = []
        self.parts = TransformShared(
            data,
            self.disk,
            cast("Any", self.definitions),
            cast("Any", None),
            cast("Any", self.deliveries),
            1.0,
            INSTALLATION,
            cast("Any", Functions()),
            self.send,
        )

    async def send(self, batch: Batch) -> None:
        self.turns.append(batch)
        self.turn.set()

    @contextmanager
    def partition(self) -> Iterator[TransformWorker]:
        owner = TransformWorker(self.parts, PLAN, SOURCE, 1)
        try:
            yield owner
        finally:
            owner.close()

    def batch(self, owner: TransformWorker, name: str, offsets: range, number: int = 0) -> Batch:
        of = PLAN.sources[SOURCE]
        messages = [Given(offset, body(of, "u", 1.0, offset), number) for offset in offsets]
        return Batch(owner, cast("list[Message]", messages), lambda: self.given_back.append(name))

    def updates(self) -> list[tuple[int, list[int]]]:
        """The plan and the offsets of each message about one of the views."""
        decoded = [
            decode_update(m.value or b"") for batch in self.deliveries.sent for m in batch if "updates" in m.topic
        ]
        return [(each.plan, [row.offset for row in each.rows]) for each in decoded if each.view == 1]


def standing(owner: TransformWorker) -> tuple[int, int | None, str | None]:
    """Where it goes on, what may be committed, and what it waits for."""
    return owner.next_offset, owner.committable, owner.waits_for


def test_a_batch_is_given_back_with_the_last_of_its_records(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.partition() as owner:
        asyncio.run(process(world.batch(owner, "first", range(20))))  # more than run in one go at first
        for delivered, given_back in zip(world.deliveries.undelivered, ([], ["first"]), strict=True):
            delivered()
            assert world.given_back == given_back


def test_what_may_be_committed_never_passes_what_is_not_in_kafka(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.partition() as owner:
        asyncio.run(process(world.batch(owner, "first", range(20))))
        assert (len(world.deliveries.sent), standing(owner)) == (2, (20, None, None))
        world.deliveries.undelivered[1]()
        assert standing(owner) == (20, None, None)
        world.deliveries.undelivered[0]()
        assert standing(owner) == (20, 20, None)


def test_a_batch_that_waits_is_given_back_and_goes_on_under_the_plan_that_it_names(tmp_path: Path) -> None:
    async def run(owner: TransformWorker) -> None:
        await process(world.batch(owner, "first", range(2), number=7))
        await process(world.batch(owner, "second", range(2, 4)))
        assert standing(owner) == (0, None, f"plan 7 for {TOPIC}[1]")
        assert (world.deliveries.sent, world.given_back) == ([], ["first", "second"])
        await asyncio.wait_for(world.turn.wait(), SECONDS)
        assert standing(owner) == (0, None, None)
        await process(world.turns[0])
        assert world.updates() == [(7, [0, 1]), (7, [2, 3])]
        for delivered in world.deliveries.undelivered:
            delivered()
        assert (world.given_back, standing(owner)) == (["first", "second"], (4, 4, None))

    world = World(tmp_path)
    with world.partition() as owner:
        asyncio.run(run(owner))


def test_schemas_are_looked_up_anew_under_a_plan_that_comes_within_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    looked_up: list[int] = []
    schemas_of = WriterSchemas.of

    def noted(self: WriterSchemas, records: Sequence[SourceRecord], *rest: Any) -> Any:
        looked_up.append(len(records))
        return schemas_of(self, records, *rest)

    async def send(messages: Sequence[OutMessage], done: Callable[[], None]) -> None:
        await send_as_before(messages, done)
        world.definitions.here = plan(8)

    send_as_before = world.deliveries.send
    monkeypatch.setattr(world.deliveries, "send", send)
    monkeypatch.setattr(WriterSchemas, "of", noted)
    with world.partition() as owner:
        asyncio.run(process(world.batch(owner, "first", range(20))))
    first, second = (len(offsets) for _number, offsets in world.updates())
    assert [number for number, _offsets in world.updates()] == [PLAN.number, 8]
    assert looked_up == [first + second, second]


def test_what_was_let_go_touches_neither_lock_nor_log(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.partition() as owner:
        owner.is_owned = False  # as whoever lets it go does, before it is closed
    asyncio.run(process(world.batch(owner, "late", range(2))))
    assert (world.given_back, world.deliveries.sent) == (["late"], [])


def test_one_process_at_a_time_has_a_partition(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.partition(), pytest.raises(LockedError, match="look for another `headrace processor` on this host"):
        TransformWorker(world.parts, PLAN, SOURCE, 1)
    with world.partition():
        pass


def test_a_partition_whose_lock_was_removed_runs_nothing_more(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.partition() as owner:
        marker = in_flight_path(tmp_path, TOPIC, 1)
        marker.with_name(f"{marker.name}.lock").unlink()
        with pytest.raises(StorageError, match="was removed or replaced while in use"):
            asyncio.run(process(world.batch(owner, "first", range(2))))
    assert world.deliveries.sent == []


def test_nothing_is_sent_that_the_source_log_does_not_have(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.partition() as owner:
        world.disk.full = True
        with pytest.raises(StorageError):
            asyncio.run(process(world.batch(owner, "first", range(2))))
    assert (world.deliveries.sent, world.given_back) == ([], [])


def test_a_partition_that_cannot_be_opened_lets_its_lock_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_folder: str) -> list[str]:
        raise StorageError("the disk cannot be read")

    world = World(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(world.disk, "list", broken)
        with pytest.raises(StorageError, match="cannot be read"):
            TransformWorker(world.parts, PLAN, SOURCE, 1)
    with world.partition():
        pass


def test_dead_letters_are_told_as_they_come_and_their_sums_on_ticks(tmp_path: Path) -> None:
    world = World(tmp_path)
    lines: list[tuple[str, object]] = []
    now = [0.0]
    log = DeadLetterLog(lambda event, fields: lines.append((event, fields["offset"])), lambda: now[0])
    world.parts = replace(world.parts, dead_letters=log)
    with world.partition() as owner:
        junk = cast("list[Message]", [Given(0, b"no Avro", 0), Given(1, b"no Avro", 0)])
        asyncio.run(owner.process(Batch(owner, junk, lambda: None)))
        assert lines == [(ONE, 0)]
        now[0] += QUIET_SECONDS
        asyncio.run(owner.process(Batch(owner, [], lambda: None)))
    assert lines == [(ONE, 0), (MORE, 1)]
