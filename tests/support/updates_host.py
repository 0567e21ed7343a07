"""A host with updates partitions on real databases, without Kafka."""

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

from infra.database.layout import DatabaseResources
from infra.database.primary import PrimaryDatabase
from infra.paths import state_path, version_path
from infra.segments.disk import LocalDisk
from processors.consumer.batches import Batch
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

Send = Callable[[Batch], Coroutine[Any, Any, None]]


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

    def read_to_end(self, timeout_seconds: float) -> None:
        del timeout_seconds

    def read_to(self, workspace: str, number: int, timeout: float) -> None:
        raise AssertionError(f"nobody waits for plan {number} of {workspace}, {timeout} s")


async def nowhere(batch: Batch) -> None:
    """A channel for partitions that wait for nothing."""
    raise AssertionError(f"nobody sends {batch}")


class Deliveries:
    """Keeps what is sent, and delivers it at once."""

    def __init__(self) -> None:
        self.sent: list[OutMessage] = []

    async def send(self, messages: Sequence[OutMessage], done: Callable[[], None]) -> None:
        self.sent += messages
        done()


class Host:
    """A host with a data folder, and a clock that can be set."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.clock = AT
        self.running = 0.0
        self.hold = DAY
        self.definitions = AppliedDefinitions(plan())
        self.deliveries = Deliveries()
        self.send: Send = nowhere

    def run(self, micros: int) -> None:
        self.clock += micros
        self.running += micros / SECOND

    @contextmanager
    def partition(self, number: int = 0) -> Iterator[MaterializeWorker]:
        """Owns a partition; what it sends to its channel goes to ``send``."""
        make_clock = partial(HeldClock, hold=self.hold, host=lambda: self.clock, running=lambda: self.running)
        deliveries = cast("Any", self.deliveries)
        definitions = cast("Any", self.definitions)
        resources = DatabaseResources.of_sizes()
        parts = MaterializeShared(
            self.data, LocalDisk(self.data), definitions, resources, deliveries, INSTALLATION, make_clock, self.send
        )
        owner = MaterializeWorker(parts, self.definitions.applied, number)
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
