"""The intake on a real broker, with owners that only remember."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer

from infra.kafka.clients import TopicSpec, admin, ensure_topics, producer
from infra.process.ports import LOOPBACK, free_port
from processors.consumer.batches import Batch
from processors.consumer.intake import PERMITS, Intake, IntakeSettings
from processors.consumer.partition_states import State
from schemas.errors import LockedError, StorageError, UnavailableError
from tests.support.waiting import wait_until

SECONDS = 30.0


class Remembering:
    """An owner that finishes its batches at once, unless ``holds`` is set."""

    def __init__(self, log: list[str], partition: int) -> None:
        self.is_owned = True
        self.committable: int | None = None
        self.next_offset = 0
        self.waits_for: str | None = None
        self.seen: list[int] = []
        self._log = log
        self._partition = partition
        log.append(f"open {partition}")

    def start_offset(self, committed: int | None, _earliest: int) -> int | None:
        self._log.append(f"committed {committed}")
        return committed

    def close(self) -> None:
        self._log.append(f"close {self._partition} {'open' if self.is_owned else 'fenced'}")


@dataclass
class World:
    """An intake with what it did and met."""

    bootstrap: str
    topic: str
    topics: list[str]
    log: list[str] = field(default_factory=list)
    owners: dict[int, Remembering] = field(default_factory=dict)
    failures: list[BaseException] = field(default_factory=list)
    held: list[Batch] = field(default_factory=list)
    holds: bool = False
    refuses: frozenset[int] = frozenset()
    damaged: frozenset[int] = frozenset()
    kept: frozenset[int] = frozenset()  # by another process
    unanswered: list[int] = field(default_factory=list)  # of Kafka's, when these are opened

    def make_owner(self, _topic: str, partition: int) -> Remembering | None:
        if partition in self.refuses:
            return None
        if partition in self.unanswered:
            self.unanswered.remove(partition)
            raise UnavailableError("Kafka does not answer")
        if partition in self.kept:
            raise LockedError("another process keeps this one")
        if partition in self.damaged:
            raise StorageError("this one is damaged")
        self.owners[partition] = Remembering(self.log, partition)
        return self.owners[partition]

    async def send(self, batch: Batch) -> None:
        if self.holds:
            self.held.append(batch)
            return
        owner = batch.owner
        if isinstance(owner, Remembering) and batch.messages and owner.is_owned:
            owner.seen += [message.offset() or 0 for message in batch.messages]
            owner.next_offset = owner.committable = owner.seen[-1] + 1
        batch.done()

    def seen(self) -> dict[int, list[int]]:
        return {partition: owner.seen for partition, owner in self.owners.items()}

    @property
    def group(self) -> str:
        return f"group-{self.topic}"

    def committed(self) -> dict[int, int]:
        """The group's offsets by partition."""
        asked = ConsumerGroupTopicPartitions(self.group)
        client = admin(self.bootstrap)  # held until it has answered: one that goes away never does
        found = client.list_consumer_group_offsets([asked])[self.group].result(SECONDS)
        return {at.partition: at.offset for at in found.topic_partitions}

    def produce(self, partition: int, count: int) -> None:
        client = producer(self.bootstrap)
        for _ in range(count):
            client.produce(self.topic, b"x", partition=partition)
        assert client.flush(20) == 0


@asynccontextmanager
async def intake(world: World, *, reset: bool = True) -> AsyncIterator[Intake]:
    settings = IntakeSettings(world.bootstrap, world.group, 10, reset_to_earliest=reset, gather_seconds=0.0)
    made = Intake(
        settings,
        topics=lambda: list(world.topics),
        make_owner=world.make_owner,
        send=world.send,
        fail=world.failures.append,
    )
    made.start()
    try:
        yield made
    finally:
        await asyncio.to_thread(made.stop)


async def until(condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(wait_until, condition, SECONDS)


@pytest.fixture
def world(bootstrap: str, unique: str) -> World:
    ensure_topics(bootstrap, [TopicSpec(unique, 2)])
    return World(bootstrap, unique, [unique])


def test_batches_come_in_order_and_the_next_goes_on_where_the_group_stands(world: World) -> None:
    async def run() -> None:
        async with intake(world):
            world.produce(0, 25)
            await until(lambda: world.seen() == {0: list(range(25)), 1: []})
        world.produce(0, 5)
        async with intake(world) as second:
            await until(lambda: world.seen() == {0: list(range(25, 30)), 1: []})
            assert second.problem is None
            assert second.progress()[world.topic, 0] == (30, 0)

    asyncio.run(run())
    assert world.failures == []
    assert world.log.count("committed None") == 3  # partition 1 has none the second time either
    assert world.log.count("committed 25") == 1
    assert [entry for entry in world.log if entry.startswith("close")] == ["close 0 fenced", "close 1 fenced"] * 2


def test_a_partition_whose_owner_waits_is_not_read_meanwhile_and_has_no_lag_and_the_others_are(world: World) -> None:
    async def run() -> None:
        async with intake(world) as made:
            world.produce(0, 3)
            await until(lambda: world.seen() == {0: [0, 1, 2], 1: []})
            world.owners[0].waits_for = "something"
            await until(lambda: made.state(world.topic, 0) is State.HELD)
            world.produce(0, 25)
            world.produce(1, 25)
            await until(lambda: world.seen() == {0: [0, 1, 2], 1: list(range(25))})
            assert made.progress()[world.topic, 0] == (3, 0)
            world.owners[0].waits_for = None
            await until(lambda: world.seen() == {0: list(range(28)), 1: list(range(25))})

    asyncio.run(run())
    assert world.failures == []


def test_transactions_leave_no_lag_and_what_is_not_committed_is_never_seen(world: World, unique: str) -> None:
    client = Producer({"bootstrap.servers": world.bootstrap, "transactional.id": unique, "log_level": 0})
    client.init_transactions(SECONDS)

    def begin(partition: int, count: int) -> None:
        client.begin_transaction()
        for _ in range(count):
            client.produce(world.topic, b"x", partition=partition)
        assert client.flush(SECONDS) == 0

    async def run() -> None:
        async with intake(world) as made:
            begin(0, 3)
            client.commit_transaction(SECONDS)
            begin(1, 2)
            client.abort_transaction(SECONDS)
            # The markers are passed, and nobody waits for what comes after them.
            await until(lambda: world.committed() == {0: 4, 1: 3})
            assert made.progress() == {(world.topic, 0): (3, 0), (world.topic, 1): (0, 0)}
            begin(0, 5)
            world.produce(1, 1)
            await until(lambda: world.committed() == {0: 4, 1: 4})
            assert made.progress() == {(world.topic, 0): (3, 0), (world.topic, 1): (4, 0)}
            client.abort_transaction(SECONDS)
            await until(lambda: world.committed() == {0: 10, 1: 4})
            assert world.seen() == {0: [0, 1, 2], 1: [3]}
        async with intake(world) as again:
            await until(lambda: len(again.progress()) == 2)
            world.produce(0, 1)
            await until(lambda: world.committed() == {0: 11, 1: 4})
            assert again.progress() == {(world.topic, 0): (11, 0), (world.topic, 1): (4, 0)}

    asyncio.run(run())
    assert world.failures == []


def test_a_process_without_partitions_is_ready_and_takes_over_when_the_other_leaves(world: World) -> None:
    other = World(world.bootstrap, world.topic, world.topics)
    third = World(world.bootstrap, world.topic, world.topics)

    async def run() -> None:
        async with intake(world) as first, intake(other) as second:
            async with intake(third) as idle:
                everybody = (first, second, idle)
                await until(lambda: sorted(len(each.progress()) for each in everybody) == [0, 1, 1])
                await until(lambda: all(each.problem is None for each in everybody))
            await until(lambda: sum(len(each.progress()) for each in (first, second)) == 2)

    asyncio.run(run())
    assert [*world.failures, *other.failures, *third.failures] == []


def test_no_more_batches_are_on_their_way_than_there_are_permits(world: World) -> None:
    world.holds = True

    async def run() -> None:
        async with intake(world):
            await until(lambda: len(world.owners) == 2)
            world.produce(0, 200)
            await until(lambda: len(world.held) == PERMITS)
            world.holds = False
            for batch in world.held:
                assert len(batch.messages) <= 10
                await world.send(batch)
            await until(lambda: world.seen()[0] == list(range(200)))

    asyncio.run(run())


def test_partitions_move_while_all_batches_are_in_work_and_nothing_is_lost(world: World) -> None:
    world.holds = True
    other = World(world.bootstrap, world.topic, world.topics)

    async def run() -> None:
        async with intake(world):
            await until(lambda: len(world.owners) == 2)
            world.produce(0, 100)
            world.produce(1, 100)
            await until(lambda: len(world.held) == PERMITS)
            async with intake(other):
                await until(lambda: len(other.owners) == 1)  # the first one still takes part in rebalancing
                world.holds = False
                for batch in world.held:
                    await world.send(batch)
                everything = {partition: list(range(100)) for partition in range(2)}
                await until(lambda: world.seen() | other.seen() == everything)

    asyncio.run(run())
    assert [*world.failures, *other.failures] == []


def test_what_is_done_is_committed_before_a_partition_is_let_go(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processors.consumer.intake.TICK_SECONDS", 2 * SECONDS)  # no commit of its own comes before
    other = World(world.bootstrap, world.topic, world.topics)

    async def run() -> None:
        async with intake(world):
            await until(lambda: len(world.owners) == 2)
            world.produce(0, 5)
            world.produce(1, 5)
            await until(lambda: world.seen() == {0: list(range(5)), 1: list(range(5))})
            async with intake(other):
                await until(lambda: len(other.owners) == 1)

    asyncio.run(run())
    assert "committed 5" in other.log


def test_a_partition_that_nobody_wants_is_left_alone(world: World) -> None:
    world.refuses = frozenset({1})

    async def run() -> None:
        async with intake(world):
            world.produce(1, 3)
            world.produce(0, 3)
            await until(lambda: world.seen() == {0: [0, 1, 2]})

    asyncio.run(run())
    assert world.failures == []


def test_a_partition_that_another_process_keeps_is_waited_for_while_others_are_read(world: World) -> None:
    world.kept = frozenset({1})
    world.produce(1, 3)

    async def run() -> None:
        async with intake(world) as made:
            await until(lambda: "another process keeps this one" in (made.problem or ""))
            assert f"{world.topic}[1]" in (made.problem or "")
            world.produce(0, 3)
            await until(lambda: world.seen() == {0: [0, 1, 2]})
            world.holds = True
            world.produce(0, 1)
            await until(lambda: made.progress() == {(world.topic, 0): (3, 1)})  # what stands still is seen to
            world.holds = False
            for batch in world.held:
                await world.send(batch)
            world.kept = frozenset()
            await until(lambda: world.seen() == {0: [0, 1, 2, 3], 1: [0, 1, 2]})
            assert made.problem is None
            await until(lambda: world.committed() == {0: 4, 1: 3})

    asyncio.run(run())
    assert world.failures == []


def test_an_outage_while_partitions_are_taken_over_ends_by_itself(world: World) -> None:
    world.unanswered = [0, 0, 1]
    world.produce(0, 2)
    world.produce(1, 3)

    async def run() -> None:
        async with intake(world) as made:
            await until(lambda: world.seen() == {0: [0, 1], 1: [0, 1, 2]})
            assert made.problem is None

    asyncio.run(run())
    assert (world.failures, world.unanswered) == ([], [])


def test_a_partition_that_is_waited_for_moves_to_a_process_that_can_have_it(world: World) -> None:
    world.kept = frozenset({0, 1})
    other = World(world.bootstrap, world.topic, world.topics)
    world.produce(0, 2)
    world.produce(1, 3)

    async def run() -> None:
        async with intake(other) as last:
            async with intake(world) as first:
                await until(lambda: (first.problem or "").count("another process") == 1)  # both have one
                await until(lambda: len(last.progress()) == 1)
            await until(lambda: other.seen() == {0: [0, 1], 1: [0, 1, 2]})
            assert last.problem is None

    asyncio.run(run())
    assert [*world.failures, *other.failures] == []
    assert world.owners == {}


def test_topics_come_and_go_with_a_refresh(world: World) -> None:
    topics, world.topics = world.topics, []

    async def run() -> None:
        async with intake(world) as made:
            await until(lambda: made.problem is None)  # nothing to read is nothing wrong
            world.topics = topics
            made.refresh()
            await until(lambda: len(made.progress()) == 2)
            world.topics = []
            made.refresh()
            await until(lambda: len(made.progress()) == 0)
            assert made.problem is None

    asyncio.run(run())


def test_an_owner_that_cannot_be_opened_ends_the_intake_and_lets_the_others_go(world: World) -> None:
    world.damaged = frozenset({1})
    world.produce(0, 3)

    async def run() -> None:
        async with intake(world):
            await until(lambda: bool(world.failures))

    asyncio.run(run())
    assert [str(failure) for failure in world.failures] == ["this one is damaged"]
    assert world.log[-1] == "close 0 fenced"
    assert world.seen() == {0: []}


def test_without_kafka_it_waits_and_says_so(unique: str) -> None:
    world = World(f"{LOOPBACK}:{free_port()}", unique, [unique])

    async def run() -> None:
        async with intake(world) as made:
            await until(lambda: "Kafka is away" in (made.problem or ""))

    asyncio.run(run())
    assert world.failures == []
