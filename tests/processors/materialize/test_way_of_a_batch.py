"""The way of a batch through the worker, on a real database and without Kafka: what waits, and for how long."""

import asyncio
import shutil
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from infra.paths import state_path
from processors.consumer.batches import Batch
from processors.consumer.faust_channels import add_agent, make_app, process, stop_app
from processors.materialize.worker import MaterializeWorker
from processors.producer.messages import OutMessage
from schemas.definitions.plan import Plan, ViewPlan
from schemas.errors import StorageError
from schemas.messages.updates import MESSAGE_FORMAT, Row, Update, encode_update
from tests.support.flow import AT, WORKSPACE, plan
from tests.support.updates_host import KEY, AppliedDefinitions, Host
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from confluent_kafka import Message

SECONDS = 20.0


@dataclass
class Given:
    """A message as Kafka's client gives it."""

    at: int
    bytes_of: bytes

    def topic(self) -> str:
        return f"{WORKSPACE}.updates"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self.at

    def value(self) -> bytes:
        return self.bytes_of


class ComingDefinitions(AppliedDefinitions):
    """Of which a newer plan comes once a test lets it."""

    def __init__(self, applied: Plan) -> None:
        super().__init__(applied)
        self.comes = threading.Event()

    def read_to(self, workspace: str, number: int, timeout: float) -> None:
        assert (workspace, timeout > 0) == (WORKSPACE, True)
        assert self.comes.wait(SECONDS)
        self.applied = plan(number)


class World:
    def __init__(self, data: Path) -> None:
        self.host = Host(data)
        self.definitions = self.host.definitions = ComingDefinitions(plan())
        self.given_back: list[str] = []
        self.turns: list[Batch] = []
        self.turn = asyncio.Event()
        self.host.send = self.keep

    @property
    def view(self) -> ViewPlan:
        return self.definitions.applied.views["newest@V1"]

    async def keep(self, batch: Batch) -> None:
        self.turns.append(batch)
        self.turn.set()

    def update(self, offset: int, number: int) -> Given:
        """An update that a plan made, of an event a second after the one of the update before."""
        time = AT + offset * 1_000_000
        values = {"user": "a", "amount": 1.0}
        row = Row(KEY, time, time // 1000, offset, 0, [values.get(column.name, time) for column in self.view.columns])
        return Given(offset, encode_update(Update(MESSAGE_FORMAT, number, self.view.id, 0, [row], [])))

    def batch(self, owner: MaterializeWorker, name: str, *given: Given) -> Batch:
        return Batch(owner, cast("list[Message]", list(given)), lambda: self.given_back.append(name))

    def kept(self) -> list[int]:
        """Offsets of the updates that state holds."""
        return [(time - AT) // 1_000_000 for time in self.host.kept(self.view)]


def standing(owner: MaterializeWorker) -> tuple[int, int | None, str | None]:
    """Where it goes on, what may be committed, and what it waits for."""
    return owner.next_offset, owner.committable, owner.waits_for


async def until(condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(wait_until, condition, SECONDS)


def without_views(number: int) -> Plan:
    return msgspec.structs.replace(plan(number), views={})


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_partition_waits_for_a_newer_plan_and_no_other_does(world: World) -> None:
    async def run() -> None:
        failures: list[BaseException] = []
        app = make_app()
        send = world.host.send = add_agent(app, "materialize", failures.append)
        await app.start()
        try:
            with ExitStack() as stack:
                waiting, other = (stack.enter_context(world.host.partition(number)) for number in range(2))
                await send(world.batch(waiting, "newer", world.update(0, number=9)))
                await send(world.batch(waiting, "behind it", world.update(1, number=5)))
                await send(world.batch(other, "other", world.update(0, number=5)))
                await until(lambda: len(world.given_back) == 3)
                assert standing(other) == (1, 1, None)
                assert standing(waiting) == (0, None, f"plan 9 for {WORKSPACE}.updates[0]")
                world.definitions.comes.set()
                await until(lambda: standing(waiting) == (2, 2, None))
        finally:
            world.definitions.comes.set()
            await stop_app(app)
        assert failures == []

    asyncio.run(run())
    assert world.kept() == [0, 1]
    assert sorted(world.given_back) == ["behind it", "newer", "other"]


def test_a_partition_that_waits_keeps_no_house_by_the_plan_before(world: World) -> None:
    async def run() -> None:
        with world.host.partition() as owner:
            await process(world.batch(owner, "first", world.update(0, number=5)))
            await process(world.batch(owner, "newer", world.update(1, number=9)))
            world.definitions.applied = without_views(5)
            await process(world.batch(owner, "tick"))
            assert world.given_back == ["first", "newer", "tick"]
            world.definitions.comes.set()
            await asyncio.wait_for(world.turn.wait(), SECONDS)
            await process(world.turns[0])
            assert standing(owner) == (2, 2, None)

    asyncio.run(run())
    assert world.kept() == [0, 1]


def test_a_partition_that_is_let_go_while_it_catches_up_keeps_no_house(world: World) -> None:
    async def run() -> None:
        with world.host.partition() as owner:

            async def let_go(messages: Sequence[OutMessage], done: Callable[[], None]) -> None:
                del messages
                owner.is_owned = False
                world.definitions.applied = without_views(10)
                done()

            world.host.deliveries.send = let_go  # type: ignore[method-assign] # while it waits for room in the producer
            await process(world.batch(owner, "newer", world.update(0, number=9)))
            world.definitions.comes.set()
            await asyncio.wait_for(world.turn.wait(), SECONDS)
            await process(world.turns[0])
            world.definitions.applied = plan(9)

    asyncio.run(run())
    assert world.kept() == [0]


def test_a_plan_that_was_made_up_is_waited_for_once(world: World) -> None:
    def nothing_comes(workspace: str, number: int, timeout: float) -> None:
        del workspace, number, timeout

    async def run() -> None:
        with world.host.partition() as owner:
            await process(world.batch(owner, "made up", world.update(0, number=9)))
            await asyncio.wait_for(world.turn.wait(), SECONDS)
            await process(world.turns[0])
            assert standing(owner) == (1, 1, None)

    world.definitions.read_to = nothing_comes  # type: ignore[method-assign] # the topic has no such plan
    asyncio.run(run())
    assert world.kept() == [0]


def test_a_partition_whose_folder_was_removed_takes_nothing_more(world: World, tmp_path: Path) -> None:
    with ExitStack() as opened:
        owner = opened.enter_context(world.host.partition(0))
        shutil.rmtree(state_path(tmp_path, WORKSPACE, 0))
        with pytest.raises(StorageError, match="removed or replaced"):
            asyncio.run(process(world.batch(owner, "late", world.update(0, 5))))
    assert world.host.deliveries.sent == []


def test_a_batch_on_its_way_to_a_partition_that_was_let_go_is_given_back_unprocessed(world: World) -> None:
    with world.host.partition() as owner:
        owner.is_owned = False  # as whoever lets it go does, before it is closed
    asyncio.run(process(world.batch(owner, "late", world.update(0, number=5))))
    asyncio.run(process(world.batch(owner, "tick")))
    assert world.given_back == ["late", "tick"]
    assert world.kept() == []


def test_what_is_no_update_is_passed_over_and_what_a_later_version_wrote_is_not(world: World) -> None:
    later = encode_update(Update(MESSAGE_FORMAT + 1, 5, world.view.id, 0, [], []))

    async def run() -> None:
        with world.host.partition() as owner:
            await process(world.batch(owner, "mixed", Given(0, b"garbage"), world.update(1, number=5)))
            with pytest.raises(StorageError, match=r"prod.updates partition 0 offset 2"):
                await process(world.batch(owner, "later", Given(2, later)))

    asyncio.run(run())
    assert (world.kept(), world.given_back) == ([1], ["mixed"])
