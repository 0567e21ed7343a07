"""Kafka partitions as micro-batches: a thread that reads with confluent-kafka and feeds a Faust channel.

Invariant: a partition's batches reach its owner in offset order without gaps, from the offset that the owner itself
named, and none after ``open`` was cleared. In this order, a partition

1. is assigned: the owner is opened and names its start offset; reading begins there;
2. is read: a batch takes a permit, goes to the channel, and gives the permit back when the owner is done with it;
3. is revoked or lost: ``open`` is cleared in the event loop (no step runs from then on), batches on their way are
   dropped (the next owner reads them again), then the owner is closed and the partition let go.

The shape, its figures and its traps: `reference/engine-shape.md`.
"""

import asyncio
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from infra.kafka_clients import RECONNECT_BACKOFF_MAX_MS, RECONNECT_BACKOFF_MS
from infra.logs import get_logger
from infra.metrics import CONSUMER_LAG
from processors.offsets import check_offsets
from schemas.errors import StorageError, UnavailableError

SESSION_SECONDS: Final = 6  # until a dead process's partitions move (`reference/engine-shape.md`, Recommended)
HEARTBEAT_SECONDS: Final = 1
PERMITS: Final = 4  # batches on their way per process and stage
POLL_SECONDS: Final = 0.1
TICK_SECONDS: Final = 1.0
COMMIT_SECONDS: Final = 1.0
FENCE_SECONDS: Final = 15.0
QUEUED_KIB: Final = 16 * 1024

_log = get_logger(__name__)


class Owner(Protocol):
    """Whoever processes one partition; made in the Kafka thread, used in the event loop."""

    open: bool
    """Whether steps may run; read and cleared in the event loop only."""
    committable: int | None
    """The group offset to commit, or None."""
    next_offset: int
    """Where the partition's processing goes on."""

    def start_offset(self, committed: int | None) -> int | None:
        """Returns where to read on; None for the earliest. ``committed`` is the group's offset, if there is one."""

    def close(self) -> None:
        """Releases files and locks; called in the Kafka thread once no step can run any more."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages of one partition in order; none for a tick, which comes about once a second."""

    owner: Owner
    messages: list[Message]
    done: Callable[[], None]


@dataclass(frozen=True, slots=True)
class IntakeSettings:
    """What differs between the stages.

    ``reset_to_earliest``: whether to begin at the earliest record where neither owner nor group has an offset or Kafka
    no longer holds it; else that ends the process. ``gather_seconds``: how long messages may wait for company while
    earlier batches are still in work: under load batches grow, an idle process takes each message at once.
    """

    bootstrap: str
    group: str
    batch: int
    reset_to_earliest: bool
    gather_seconds: float


class Intake:
    """Reads all partitions that the group assigns to this process.

    Args:
        settings: see ``IntakeSettings``.
        topics: returns what to subscribe to; asked again after ``refresh``.
        make_owner: opens the owner of a partition.
        send: puts a batch on the channel.
        fail: called once, from the Kafka thread, with what ends it.
    """

    def __init__(
        self,
        settings: IntakeSettings,
        *,
        topics: Callable[[], list[str]],
        make_owner: Callable[[str, int], Owner],
        send: Callable[[Batch], Awaitable[Any]],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._make_owner = make_owner
        self._send = send
        self._fail = fail
        self._loop = asyncio.get_running_loop()
        self._permits = threading.Semaphore(PERMITS)
        self._idle = threading.Condition()
        self._in_work = 0
        self._quit = threading.Event()
        self._stale = threading.Event()
        self._stale.set()
        self._subscribed: list[str] = []
        self._expected: dict[tuple[str, int], int] = {}  # the offset after the last record that was received
        self._ends: dict[tuple[str, int], int] = {}  # of the partition, as Kafka told with its last records
        self._raised: BaseException | None = None
        self._last_tick = self._last_commit = 0.0
        self.owners: dict[tuple[str, int], Owner] = {}
        self.problem: str | None = "not connected to Kafka yet"
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.bootstrap,
                "client.id": "headrace",
                "group.id": settings.group,
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": SESSION_SECONDS * 1000,
                "heartbeat.interval.ms": HEARTBEAT_SECONDS * 1000,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest" if settings.reset_to_earliest else "error",
                "queued.max.messages.kbytes": QUEUED_KIB,
                "fetch.wait.max.ms": 100,
                "topic.metadata.refresh.interval.ms": 5_000,
                "reconnect.backoff.ms": RECONNECT_BACKOFF_MS,
                "reconnect.backoff.max.ms": RECONNECT_BACKOFF_MAX_MS,
            },
            logger=_log,
        )
        self._thread = threading.Thread(target=self._run, name=f"intake {settings.group}", daemon=True)

    def start(self) -> None:
        """Begins to read."""
        self._thread.start()

    def refresh(self) -> None:
        """Has the subscription looked at again; from any thread."""
        self._stale.set()

    def stop(self) -> None:
        """Lets all partitions go and ends the thread; blocks, so call it from another thread than the event loop's."""
        self._quit.set()
        self._thread.join(FENCE_SECONDS)

    def lag(self) -> dict[tuple[str, int], int]:
        """Returns how many records each owned partition is behind, as far as is known here; from any thread.

        It does not ask the consumer: that blocked for ever when called from another thread than the one that polls.
        """
        lags = {}
        for where, owner in list(self.owners.items()):
            end = max(self._ends.get(where, 0), self._expected.get(where, 0))
            lags[where] = max(0, end - owner.next_offset)
        return lags

    def _run(self) -> None:
        try:
            while not self._quit.is_set():
                self._subscribe()
                self._receive()
                self._tick()
                if self._raised is not None:
                    raise self._raised  # noqa: TRY301 - what a callback met; raised through librdkafka it would be lost
        except BaseException as error:  # noqa: BLE001 - a thread that ends silently keeps its partitions unread
            self._fail(error)
        finally:
            self._close()

    def _close(self) -> None:
        try:
            self._commit(asynchronous=False)
            self._consumer.close()  # calls _on_revoke for what is owned
        except (KafkaException, RuntimeError) as error:
            _log.warning("closing the consumer failed", group=self._settings.group, problem=str(error))
        if self.owners:
            self._release(list(self.owners))

    def _subscribe(self) -> None:
        if not self._stale.is_set():
            return
        self._stale.clear()
        topics = sorted(self._topics())
        if topics and topics != self._subscribed:
            self._consumer.subscribe(
                topics,
                on_assign=self._guard(self._on_assign),
                on_revoke=self._guard(self._on_revoke),
                on_lost=self._guard(self._on_revoke),
            )
            self._subscribed = topics
        elif not topics:
            self.problem = None  # nothing is applied yet: nothing to read

    def _guard(
        self, callback: Callable[[Consumer, list[TopicPartition]], None]
    ) -> Callable[[Consumer, list[TopicPartition]], None]:
        """Keeps errors of a callback from passing through librdkafka, where they would be lost."""

        def guarded(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            try:
                callback(consumer, partitions)
            except:  # noqa: E722 - KafkaError is not a BaseException: only a bare except sees it
                error = sys.exc_info()[1]
                self._raised = error if isinstance(error, BaseException) else StorageError(str(error))

        return guarded

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.problem = None
        starts = []
        committed = {(p.topic, p.partition): p.offset for p in consumer.committed(partitions, timeout=10.0)}
        for partition in partitions:
            where = (partition.topic, partition.partition)
            owner = self._make_owner(*where)
            self.owners[where] = owner
            group_offset = committed.get(where, -1)
            start = owner.start_offset(group_offset if group_offset >= 0 else None)
            earliest, latest = consumer.get_watermark_offsets(TopicPartition(*where), timeout=10.0)
            checked = check_offsets(where, start, earliest, latest, reset_to_earliest=self._settings.reset_to_earliest)
            owner.next_offset = earliest if checked is None else checked
            if start is not None and start < owner.next_offset:
                _log.warning("records expired in Kafka unread", partition=where, first=start, next=owner.next_offset)
            self._expected[where] = owner.next_offset
            starts.append(TopicPartition(*where, owner.next_offset))
        consumer.incremental_assign(starts)
        _log.info("partitions assigned", group=self._settings.group, partitions=_names(starts))

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._commit(asynchronous=True)
        self._release([(p.topic, p.partition) for p in partitions])
        consumer.incremental_unassign(partitions)
        _log.info("partitions released", group=self._settings.group, partitions=_names(partitions))

    def _release(self, partitions: list[tuple[str, int]]) -> None:
        gone = [self.owners.pop(where) for where in partitions if where in self.owners]
        for where in partitions:
            self._expected.pop(where, None)
            self._ends.pop(where, None)
            with suppress(KeyError):
                CONSUMER_LAG.remove(where[0], str(where[1]))

        async def fence() -> None:
            for owner in gone:
                owner.open = False

        if self._loop.is_running():
            asyncio.run_coroutine_threadsafe(fence(), self._loop).result(FENCE_SECONDS)
        for owner in gone:
            owner.close()

    def _receive(self) -> None:
        first = self._consumer.poll(POLL_SECONDS)  # consume() alone would wait for a full batch
        if first is None:
            return
        with self._idle:
            self._idle.wait_for(lambda: self._in_work == 0, self._settings.gather_seconds)
        by_partition: dict[tuple[str, int], list[Message]] = defaultdict(list)
        for message in (first, *self._consumer.consume(self._settings.batch - 1, 0)):
            if self._is_record(message):
                by_partition[message.topic() or "", message.partition() or 0].append(message)
        for where, messages in by_partition.items():
            owner = self.owners.get(where)
            if owner is not None:
                self._expect(where, messages)
                self._dispatch(owner, messages)

    def _is_record(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            self.problem = None
            return True
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):  # noqa: SLF001 - public names
            problem = f"{message.topic()} partition {message.partition()}: Kafka no longer holds the next offset"
            raise StorageError(f"{problem}; restore the partition from a copy of its log, or reset it")
        if error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001 - its public name
            raise UnavailableError(f"the consumer group {self._settings.group} ended: {error.str()}")
        if error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:  # a topic that was just made
            _log.warning("consumer problem", group=self._settings.group, problem=error.str())
            self.problem = f"Kafka: {error.str()}"
        return False

    def _expect(self, where: tuple[str, int], messages: list[Message]) -> None:
        first = messages[0].offset() or 0
        if first < self._expected[where]:
            raise StorageError(f"{where[0]} partition {where[1]}: offset {first} came after {self._expected[where]}")
        self._expected[where] = (messages[-1].offset() or 0) + 1

    def _dispatch(self, owner: Owner, messages: list[Message]) -> None:
        while not self._permits.acquire(timeout=POLL_SECONDS):
            if self._quit.is_set():
                return
        with self._idle:
            self._in_work += 1
        batch = Batch(owner, messages, self._done)
        # The channel holds more than PERMITS batches: no put ever waits, so none overtakes another.
        asyncio.run_coroutine_threadsafe(_sending(self._send(batch)), self._loop)

    def _done(self) -> None:
        self._permits.release()
        with self._idle:
            self._in_work -= 1
            if self._in_work == 0:
                self._idle.notify()

    def _tick(self) -> None:
        now = time.monotonic()
        if now - self._last_tick >= TICK_SECONDS:
            self._last_tick = now
            for owner in list(self.owners.values()):
                self._dispatch(owner, [])
            self._look_at_ends()
            for (topic, partition), lag in self.lag().items():
                CONSUMER_LAG.labels(topic, str(partition)).set(lag)
        if now - self._last_commit >= COMMIT_SECONDS:
            self._last_commit = now
            self._commit(asynchronous=True)

    def _look_at_ends(self) -> None:
        for where in list(self.owners):
            with suppress(KafkaException):
                self._ends[where] = self._consumer.get_watermark_offsets(TopicPartition(*where), cached=True)[1]

    def _commit(self, *, asynchronous: bool) -> None:
        offsets = [
            TopicPartition(topic, partition, owner.committable)
            for (topic, partition), owner in self.owners.items()
            if owner.committable is not None
        ]
        if not offsets:
            return
        for owner in self.owners.values():
            owner.committable = None
        try:
            self._consumer.commit(offsets=offsets, asynchronous=asynchronous)  # type: ignore[call-overload] # a bool is either
        except KafkaException as error:
            # Only a hint: processing goes on from offsets of its own, and repeats are absorbed.
            _log.info("offsets not committed", group=self._settings.group, problem=str(error))


async def _sending(sent: Awaitable[Any]) -> None:
    await sent


def _names(partitions: list[TopicPartition]) -> list[str]:
    return [f"{p.topic}[{p.partition}]" + (f"@{p.offset}" if p.offset >= 0 else "") for p in partitions]
