"""A whole pipeline in one process: the real transform, materialize, logs, ack book and reads around a simulated world.

Only what surrounds them is played here: reading batches, sending what a step returns, committing, dying and starting
again from what broker and disk hold.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Message

from infra.paths import offline_log_folder, source_log_folder
from ingest_api.ingestion.pending import Answer, PendingRequests
from processors.logs.offline_log import OfflineLog
from processors.logs.source_log import SourceLog
from processors.materialize.held_clock import HeldClock
from processors.materialize.rebuild import rebuild
from processors.materialize.retention import clocks, sweep
from processors.materialize.step import MaterializeStep, StoreFailedError
from processors.producer.messages import OutMessage
from processors.transform.decode import decode
from processors.transform.step import finish, start_offset
from schemas.avro import wire
from schemas.definitions.plan import Plan
from schemas.errors import StorageError
from schemas.instants import DAY, instant
from schemas.messages.updates import (
    PLAN_HEADER,
    REPLY_HEADER,
    ReplyAddress,
    UpdateMessage,
    decode_acks,
    decode_update,
    place_of,
    plan_header,
)
from schemas.state.keys import CLOCK
from schemas.topics import acks_topic, source_topic
from tests.simulation.definitions import (
    PARTITIONS,
    SCHEMA_ID,
    SOURCE_PARTITIONS,
    WORKSPACE,
    plan,
    plan_after,
    schema,
    transform,
)
from tests.simulation.world import Broker, Clock, Crash, CrashingState, Fate, Record, RefusedError, TearingDisk

SOURCE_TOPIC = source_topic(WORKSPACE, "events")
ACKS = acks_topic(WORKSPACE)
ROLL_BYTES = 2_000  # segments roll often
MAX_BATCH = 7
DEADLINE_SECONDS = 5.0
TAKES_UP = 0.5  # how often an owner has read of a newer plan by the time of its next batch
INSTALLATION = "simulated"


@dataclass
class Sent:
    """A record that a producer sent: what it holds, where Kafka put it, and who waits for it."""

    record: dict[str, Any] | None  # None: bytes that are no record
    partition: int
    offset: int
    request: bytes | None = None
    index: int = 0


@dataclass(frozen=True, slots=True)
class Consumed:
    """A record as Kafka's client gives it."""

    of_topic: str
    of_partition: int
    at: int
    record: Record

    def topic(self) -> str:
        return self.of_topic

    def partition(self) -> int:
        return self.of_partition

    def offset(self) -> int:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_LOG_APPEND_TIME, self.record.append_time

    def value(self) -> bytes:
        return self.record.value

    def headers(self) -> list[tuple[str, bytes]]:
        return list(self.record.headers)


class Transformer:
    """The process that owns one source partition."""

    def __init__(self, cluster: "Cluster", partition: int) -> None:
        self._cluster = cluster
        self._partition = partition
        log = SourceLog(cluster.disk, WORKSPACE, "events", partition, roll_bytes=ROLL_BYTES)
        log.open()
        self._plan = cluster.plan
        self._log = log
        self._transform = transform(self._plan)
        self._offset = start_offset(log, cluster.broker.committed.get((SOURCE_TOPIC, partition))) or 0

    def work(self, batch: int) -> bool:
        """Processes the next records; returns whether there were any."""
        broker = self._cluster.broker
        found = broker.read(SOURCE_TOPIC, self._partition, self._offset, batch)
        if not found:
            return False
        messages = [cast("Message", Consumed(SOURCE_TOPIC, self._partition, *each)) for each in found]
        records, newest = decode(messages, INSTALLATION)
        behind = self._plan is not self._cluster.plan and self._cluster.random.random() < TAKES_UP
        if behind or newest > self._plan.number:
            self._plan = self._cluster.plan
            self._transform = transform(self._plan)
        outcome = self._transform(records, {})
        self._cluster.send(finish(self._transform, self._log, records, outcome, {}))
        self._offset = records[-1].offset + 1
        broker.commit(SOURCE_TOPIC, self._partition, self._offset)
        return True


class Materializer:
    """The process that owns one updates partition."""

    def __init__(self, cluster: "Cluster", partition: int) -> None:
        self._cluster = cluster
        self._topic = f"{WORKSPACE}.updates"
        self._partition = partition
        log = OfflineLog(cluster.disk, WORKSPACE, partition, roll_bytes=ROLL_BYTES)
        log.open()
        views = {view.id: view for view in plan().views.values()}
        self._state = state = cluster.states[partition] or CrashingState(cluster.fate)
        self._cursor: bytes | None = None
        self._step = MaterializeStep(WORKSPACE, partition, log, state, views, INSTALLATION)
        self._plan = cluster.plan
        self._step.use(self._plan)
        if cluster.states[partition] is None:
            rebuild(self._step, cluster.disk, WORKSPACE, partition, batch_rows=5)
            cluster.states[partition] = state  # promoted: readers see it from now on
        self._offset = self._step.start_offset(0) or 0
        self._clock = HeldClock(state.get(CLOCK), hold=DAY, host=cluster.host_clock, running=cluster.running)

    def work(self, batch: int) -> bool:
        """Processes the next messages; returns whether there were any."""
        found = self._cluster.broker.read(self._topic, self._partition, self._offset, batch)
        if not found:
            return False
        messages = [UpdateMessage(offset, decode_update(record.value)) for offset, record in found]
        newest = max(message.update.plan for message in messages)
        if newest > self._plan.number or self._cluster.random.random() < TAKES_UP:
            self._plan = self._cluster.plan
            self._step.use(self._plan)
        try:
            done = self._step.run(messages, found[-1][0] + 1)
        except StoreFailedError as failed:
            self._cluster.send(failed.acks)
            raise
        self._offset = found[-1][0] + 1
        self._cluster.send(done.acks)
        return True

    def sweep(self, keys: int) -> None:
        """Deletes what nobody can need, as the housekeeping of a processor does."""
        now = self._clock.read().held
        views = {view.id: view for view in self._plan.folded_views().values()}
        deletes, self._cursor = sweep(views, clocks(views, self._state, now), self._state, self._cursor, keys)
        saved = self._clock.to_save()
        self._state.write([*((key, None) for key in deletes), *([] if saved is None else [(CLOCK, saved)])])


@dataclass
class Cluster:
    """Broker, disk and state, which outlive processes, and the processes of the moment."""

    random: Random
    clock: Clock
    fate: Fate
    broker: Broker = field(init=False)
    disk: TearingDisk = field(init=False)
    states: list[CrashingState | None] = field(init=False)
    sent: list[Sent] = field(default_factory=list)
    answers: dict[bytes, Answer] = field(default_factory=dict)
    requests: int = 0
    excused: set[bytes] = field(default_factory=set)
    plans: list[Plan] = field(default_factory=lambda: [plan()])
    skew: int = 0
    """By how much the host's clock is ahead of the true time, in µs."""

    def __post_init__(self) -> None:
        self.broker = Broker(self.clock, self.fate)
        self.disk = TearingDisk(self.fate)
        self.states = [None] * PARTITIONS
        self._owners: dict[tuple[str, int], Transformer | Materializer] = {}
        self._heard = 0
        self.restart_api()

    @property
    def plan(self) -> Plan:
        return self.plans[-1]

    def apply(self, kept: frozenset[str]) -> None:
        """Applies a repository with these views: others are removed, or stay so; those that were removed come back."""
        self.plans.append(plan_after(self.plan, kept))

    # What callers do.

    def post(self, records: list[dict[str, Any]], partition: int) -> bytes:
        """Sends records as the ingest API does, and waits for their answers; returns the request's id."""
        self.requests += 1
        request = self.requests.to_bytes(8, "big")
        known = self.random.choice(self.plans[-2:])  # the API may not know the newest
        self.book.open(request, [[view.id for view in known.views.values()]] * len(records))
        place = place_of(SOURCE_TOPIC, partition)
        for index, record in enumerate(records):
            reply = ReplyAddress(0, request, index, INSTALLATION).header(place)
            headers = [(REPLY_HEADER, reply), (PLAN_HEADER, plan_header(known.number))]
            self._append(record, partition, headers, request, index)
        return request

    def produce(self, record: dict[str, Any] | None) -> None:
        """Writes a record, or garbage, straight to Kafka."""
        self._append(record, self.random.randrange(SOURCE_PARTITIONS), [], None, 0)

    def _append(
        self,
        record: dict[str, Any] | None,
        partition: int,
        headers: list[tuple[str, bytes]],
        request: bytes | None,
        index: int,
    ) -> None:
        value = (
            b"garbage" if record is None else wire.frame(SCHEMA_ID, schema(), {**record, "at": instant(record["at"])})
        )
        odds, self.fate.odds = self.fate.odds, 0  # a caller's own death is not what is tested here
        offset = self.broker.append(SOURCE_TOPIC, partition, value, headers)
        self.fate.odds = odds
        self.sent.append(Sent(record, partition, offset, request, index))

    def hear(self) -> list[Answer]:
        """Gives the acks that have come to the API; returns the requests that they complete."""
        completed = []
        for offset, record in self.broker.read(ACKS, 0, self._heard, 1_000):
            completed += self.book.take(decode_acks(record.value))
            self._heard = offset + 1
        completed += self.book.expire()
        self.answers.update({answer.request: answer for answer in completed})
        return completed

    def restart_api(self) -> None:
        """The API begins anew: nobody waits, and it listens from the end of its reply partition."""
        self.book = PendingRequests(lambda: self.clock.now / 1e6, DEADLINE_SECONDS)
        self._heard = len(self.broker.topics.get((ACKS, 0), []))

    # What processes do.

    def host_clock(self) -> int:
        """What the clock of the processors' host shows."""
        return self.clock.now + self.skew

    def running(self) -> float:
        """For how long the host has run, in seconds."""
        return self.clock.now / 1e6

    def sweep(self, partition: int) -> None:
        """Lets the owner of an updates partition look for what is too old, if there is an owner."""
        owner = self._owners.get(("materialize", partition))
        if isinstance(owner, Materializer):
            try:
                owner.sweep(self.random.randint(2, 50))
            except (Crash, RefusedError):
                self._owners.pop(("materialize", partition), None)

    def send(self, messages: Sequence[OutMessage]) -> None:
        """Sends messages as a producer does: at a death, each partition may have got any number of the first ones."""
        places: dict[tuple[str, int], list[OutMessage]] = defaultdict(list)
        for message in messages:
            places[message.topic, message.partition or 0].append(message)
        dies = self.fate.strikes()
        for (topic, partition), batch in places.items():
            for message in batch[: self.random.randint(0, len(batch)) if dies else None]:
                self.broker.append(topic, partition, message.value or b"", message.headers)
        if dies:
            raise Crash

    def work(self, stage: str, partition: int, batch: int) -> bool:
        """Lets the owner of a partition take a batch; if it dies, the next call starts a new one."""
        where = (stage, partition)
        try:
            owner = self._owners.get(where)
            if owner is None:
                kind = Transformer if stage == "transform" else Materializer
                owner = self._owners[where] = kind(self, partition)
            return owner.work(batch)
        except StorageError as error:
            # What a store was told to refuse ends the process, as a death does; damage that it finds is a failure.
            if not isinstance(error.__cause__ or error, RefusedError):
                raise
        except Crash:
            pass
        self._owners.pop(where, None)
        return True

    def move(self, stage: str, partition: int) -> None:
        """Another process takes a partition over between two batches."""
        self._owners.pop((stage, partition), None)

    def lose_power(self) -> None:
        """Every process dies, and what disks had not written yet is gone."""
        self._owners.clear()
        self.excused |= {number.to_bytes(8, "big") for number in range(1, self.requests + 1)} - self.answers.keys()
        self.disk.lose_power(self.random)
        for state in self.states:
            if state is not None:
                state.lose_power(self.random)

    def lose_folder(self, partition: int) -> None:
        """A partition's database is gone; its owner dies with it."""
        self.move("materialize", partition)
        self.states[partition] = None

    def settle(self) -> None:
        """Lets everything finish in peace."""
        self.fate.odds = 0
        places = [("transform", p) for p in range(SOURCE_PARTITIONS)] + [("materialize", p) for p in range(PARTITIONS)]
        while any([self.work(*place, MAX_BATCH) for place in places]):  # noqa: C419 - all of them, each round
            pass
        self.hear()


LOG_FOLDERS = [offline_log_folder(WORKSPACE, partition) for partition in range(PARTITIONS)]
SOURCE_FOLDERS = [source_log_folder(WORKSPACE, "events", partition) for partition in range(SOURCE_PARTITIONS)]
