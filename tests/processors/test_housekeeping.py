"""What a partition does between batches, on a real database and without Kafka."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from prometheus_client import REGISTRY

from infra.database.layout import DatabaseResources
from infra.database.primary import PrimaryDatabase
from infra.paths import state_path, version_path
from infra.segments.disk import LocalDisk
from processors.consumer.batches import Batch
from processors.consumer.faust_channels import process
from processors.materialize.fold import ViewState, materialize
from processors.materialize.held_clock import HeldClock
from processors.materialize.view_digests import take_up
from processors.materialize.worker import MaterializeShared, MaterializeWorker
from processors.producer.messages import OutMessage
from schemas.definitions.plan import Plan, ViewPlan
from schemas.instants import DAY, SECOND
from schemas.messages.updates import MESSAGE_FORMAT, Row, Update, UpdateMessage
from schemas.state.keys import encode_join_keys, row_prefix, time_of
from tests.support.flow import AT, INSTALLATION, WORKSPACE, plan

KEY = encode_join_keys(["a"])


class AppliedDefinitions:
    """Definitions that were applied, without Kafka."""

    def __init__(self, applied: Plan) -> None:
        self.applied = applied
        self.views = {view.id: view for view in applied.views.values()}

    def plan(self, workspace: str) -> Plan:
        del workspace
        return self.applied

    def views_of(self, workspace: str) -> Mapping[int, ViewPlan]:
        del workspace
        return self.views

    def read_to_end(self, timeout: float) -> None:
        del timeout


class Unused:
    """An outbox for partitions that have nothing to send."""

    async def send(self, messages: Sequence[OutMessage], done: Callable[[], None]) -> None:
        assert not messages
        done()


class Host:
    """A host with a data folder, and a clock that can be set."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.clock = AT
        self.running = 0.0
        self.hold = DAY
        self.definitions = AppliedDefinitions(plan())

    def run(self, micros: int) -> None:
        self.clock += micros
        self.running += micros / SECOND

    @contextmanager
    def partition(self) -> Iterator[MaterializeWorker]:
        make_clock = partial(HeldClock, hold=self.hold, host=lambda: self.clock, running=lambda: self.running)
        outbox = cast("Any", Unused())
        definitions = cast("Any", self.definitions)
        resources = DatabaseResources.of_sizes()
        parts = MaterializeShared(
            self.data, LocalDisk(self.data), definitions, resources, outbox, INSTALLATION, make_clock
        )
        owner = MaterializeWorker(parts, self.definitions.applied, 0)
        try:
            yield owner
        finally:
            owner.close()

    @contextmanager
    def database(self) -> Iterator[PrimaryDatabase]:
        """The state, while no owner has it open."""
        where, version = state_path(self.data, WORKSPACE, 0), version_path(self.data, WORKSPACE, 0)
        resources = DatabaseResources.of_sizes()
        with PrimaryDatabase.open(where, version_file=version, resources=resources, lock_seconds=5) as database:
            if database.rebuilding:
                database.promote()
            yield database

    def write(self, view: ViewPlan, *times: int) -> None:
        """Folds one event at each of these times."""
        values = {"user": "a", "amount": 1.0}
        rows = [
            Row(KEY, time, time // 1000, offset, 0, [values.get(column.name, time) for column in view.columns])
            for offset, time in enumerate(times)
        ]
        messages = [UpdateMessage(0, Update(MESSAGE_FORMAT, 1, view.id, 0, rows, []))]
        with self.database() as database:
            take_up(self.definitions.views.values(), database)
            database.write(list(materialize({view.id: ViewState(view)}, database, messages, 1).writes.items()))

    def kept(self, view: ViewPlan) -> list[int]:
        """Returns the event times of the rows that state holds."""
        prefix = row_prefix(view.id, KEY)
        with self.database() as database:
            return [time_of(key) for key, _ in database.scan(prefix, prefix + b"\xff" * 8)]

    def keep_house(self) -> None:
        """Owns the partition for a moment."""
        with self.partition() as owner:
            tick(owner)


def tick(owner: MaterializeWorker) -> None:
    asyncio.run(process(Batch(owner, [], lambda: None)))


def held_seconds() -> float | None:
    labels = {"workspace": WORKSPACE, "partition": "0"}
    return REGISTRY.get_sample_value("headrace_clock_step_held_seconds", labels)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def view(host: Host) -> ViewPlan:
    return host.definitions.applied.views["totals@V1"]


def test_rows_go_by_the_lesser_of_the_watermark_and_the_hosts_clock(host: Host, view: ViewPlan) -> None:
    host.hold = 0
    later = AT + 40 * DAY
    host.write(view, AT)
    host.clock = later
    host.keep_house()
    assert host.kept(view) == [AT]
    host.write(view, later)
    host.clock = AT
    host.keep_house()
    assert host.kept(view) == [AT, later]
    host.clock = later
    host.keep_house()
    assert host.kept(view) == [later]


def test_a_step_of_the_hosts_clock_deletes_nothing_is_told_and_is_believed_in_the_end(
    host: Host, view: ViewPlan, capsys: pytest.CaptureFixture[str]
) -> None:
    later = AT + 40 * DAY  # whatever sends events, and the broker, believe the clock
    host.write(view, AT, later)
    with host.partition() as owner:
        tick(owner)
        assert held_seconds() == 0
        host.clock += 40 * DAY
        tick(owner)
        assert held_seconds() == 40 * DAY / SECOND
        assert "clock stepped ahead" in capsys.readouterr().out
    assert held_seconds() is None
    assert host.kept(view) == [AT, later]
    with host.partition() as owner:  # the next owner knows
        tick(owner)
        assert held_seconds() == 40 * DAY / SECOND
    assert host.kept(view) == [AT, later]
    with host.partition() as owner:
        tick(owner)
        host.run(DAY)
        tick(owner)
        assert held_seconds() == 0
        assert "follows the host's clock again" in capsys.readouterr().out
    assert host.kept(view) == [later]


def test_what_another_view_left_under_the_id_of_a_new_one_goes_at_once_and_is_told(
    host: Host, view: ViewPlan, capsys: pytest.CaptureFixture[str]
) -> None:
    host.write(view, AT)
    with host.partition():
        pass
    assert host.kept(view) == [AT]
    applied = host.definitions.applied
    other = msgspec.structs.replace(view, grace=view.grace + 1)
    host.definitions.applied = msgspec.structs.replace(applied, views=applied.views | {other.key: other})
    with host.partition():
        pass
    assert host.kept(view) == []
    labels = {"workspace": WORKSPACE, "view": view.key}
    assert REGISTRY.get_sample_value("headrace_state_dropped_total", labels) == 1
    assert "state of another view dropped" in capsys.readouterr().out


def test_a_batch_on_its_way_to_a_partition_that_was_let_go_is_given_back_unprocessed(tmp_path: Path) -> None:
    given_back: list[bool] = []
    with Host(tmp_path).partition() as owner:
        owner.is_owned = False  # as whoever lets it go does, before it is closed
    asyncio.run(process(Batch(owner, [], lambda: given_back.append(True))))
    assert given_back == [True]
