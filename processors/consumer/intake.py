"""Kafka partitions as micro-batches: a thread that reads with confluent-kafka and feeds a Faust channel.

Invariant: a partition's batches reach its owner in offset order, from the offset that the owner itself named, and none
after ``is_owned`` was cleared. In this order, a partition

1. is assigned: the owner is opened and names its start offset; reading begins there (``processors.consumer.takeover``);
2. is read: a batch takes a permit, goes to the channel, and gives the permit back when the owner is done with it;
3. is revoked or lost: ``is_owned`` is cleared in the event loop (no step runs from then on), batches on their way are
   dropped (the next owner reads them again), then the owner is closed and the partition let go.

The thread survives outages of Kafka: ``problem`` tells meanwhile what is wrong.
"""

import asyncio
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from infra.kafka.clients import RECONNECT_BACKOFF_MAX_MS, RECONNECT_BACKOFF_MS
from infra.kafka.consumer_thread import PROBE_SECONDS, ConsumerThread
from infra.kafka.errors import is_end, is_gone, is_lost, words
from infra.logs import get_logger
from infra.metrics import CONSUMER_LAG
from processors.consumer.assignment import Partitions, Where
from processors.consumer.batches import Batch, PartitionWorker
from processors.consumer.partition_states import PartitionStates, State
from processors.consumer.takeover import Takeover
from schemas.errors import StorageError, UnavailableError
from schemas.topics import workspace_of

SESSION_SECONDS: Final = 6  # until a dead process's partitions move; measured beside other settings in the benchmarks
HEARTBEAT_SECONDS: Final = 1
OPENING_SECONDS: Final = 1_800  # that taking partitions over may last: state may have to be rebuilt from a long log
PERMITS: Final = 4  # batches on their way per process and stage
PERMIT_SECONDS: Final = 1.0  # for a permit before reading pauses, which has what was fetched fetched again
TICK_SECONDS: Final = 1.0
ASK_SECONDS: Final = 5.0
QUEUED_KIB: Final = 16 * 1024

T = TypeVar("T")

_log = get_logger(__name__)
_kafka_log = logging.getLogger("headrace.kafka")  # whose filter drops what the client repeats


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
    """Reads all partitions that the group assigns to this process. Made in the event loop that owners run in.

    Args:
        settings: see ``IntakeSettings``.
        topics: returns what to subscribe to; asked again after ``refresh``.
        make_owner: opens the owner of a partition; None for one that is no longer to be read.
        send: puts a batch on a channel, which holds more than ``PERMITS`` batches: none waits or overtakes another.
        fail: called once, from the Kafka thread, with what ends it.

    Attributes:
        beats: signs of life of the Kafka thread so far; it takes partitions over as well, and gives them meanwhile.
    """

    def __init__(
        self,
        settings: IntakeSettings,
        *,
        topics: Callable[[], list[str]],
        make_owner: Callable[[str, int], PartitionWorker | None],
        send: Callable[[Batch], Coroutine[Any, Any, None]],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._send = send
        self._fail = fail
        self._loop = asyncio.get_running_loop()
        self._partitions = Partitions(self._loop, make_owner, reset_to_earliest=settings.reset_to_earliest)
        self._states = PartitionStates()
        self._takeover = Takeover(self._take, self._states)
        self._permits = threading.Semaphore(PERMITS)
        self._idle = threading.Condition()
        self._in_work = 0
        self._stale = threading.Event()
        self._stale.set()
        self._subscribed: list[str] = []
        self._waiting: str | None = "not in the consumer group yet"
        self._next_tick = 0.0
        self.beats = 0
        self._thread: ConsumerThread[Consumer] = ConsumerThread(
            f"intake {settings.group}",
            self._make_consumer,
            before_poll=self._before_poll,
            gather=self._gather,
            on_records=self._on_records,
            on_problem=self._on_problem,
            probe=lambda: self._consumer.list_topics(timeout=PROBE_SECONDS),
            on_end=self._on_end,
            close=self._close,
            batch=settings.batch,
        )
        self._consumer = self._thread.consumer

    def _make_consumer(self, on_error: Callable[[KafkaError], None]) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self._settings.bootstrap,
                "client.id": "headrace",
                "group.id": self._settings.group,
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": SESSION_SECONDS * 1000,
                "heartbeat.interval.ms": HEARTBEAT_SECONDS * 1000,
                "max.poll.interval.ms": OPENING_SECONDS * 1000,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest" if self._settings.reset_to_earliest else "error",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,  # tells that nothing is left, where the end cannot: see _on_problem
                "queued.max.messages.kbytes": QUEUED_KIB,
                "fetch.wait.max.ms": 100,
                "topic.metadata.refresh.interval.ms": 5_000,
                "reconnect.backoff.ms": RECONNECT_BACKOFF_MS,
                "reconnect.backoff.max.ms": RECONNECT_BACKOFF_MAX_MS,
                "error_cb": on_error,
                "on_commit": self._on_commit,
            },
            logger=_kafka_log,
        )

    @property
    def problem(self) -> str | None:
        """Why partitions, or some of them, are not read now, or None."""
        return self._outage() or self._waiting or self._takeover.problem

    def _outage(self) -> str | None:
        failure = self._thread.failure
        return failure and f"Kafka is away: {failure}"

    def beat(self) -> None:
        """Gives a sign of life: in the Kafka thread, at least as often as each single wait or piece of work ends."""
        self.beats += 1

    def start(self) -> None:
        """Begins to read."""
        self._thread.start()

    def refresh(self) -> None:
        """Has the subscription looked at again; from any thread."""
        self._stale.set()

    def stop(self) -> None:
        """Lets all partitions go and ends the thread, for a bounded time; not to be called in the event loop."""
        self._thread.stop()

    def progress(self) -> dict[Where, tuple[int, int]]:
        """Returns next offset and lag (records, as far as is known here) of each owned partition; from any thread.

        Without a way to make progress (Kafka is away, partitions are being taken over, the owner waits for something)
        there is no lag either.

        It does not ask the consumer: that blocks for ever when another thread than the one that polls calls it.
        """
        lags = self._partitions.lag()
        owners = list(self._partitions.owners.items())
        idle = self._outage() or self._waiting
        return {
            where: (owner.next_offset, 0 if idle or owner.waits_for else lags.get(where, 0)) for where, owner in owners
        }

    def state(self, topic: str, partition: int) -> State | None:
        """Returns what has become of a partition; None for one that the group has not given; from any thread."""
        return self._states.state((topic, partition))

    def _before_poll(self) -> None:
        self.beat()
        self._note_waits()
        self._tick()
        self._subscribe()

    def _on_end(self, error: BaseException | None) -> None:
        if isinstance(error, KafkaException):
            reason = f"the consumer group {self._settings.group} ended: {words(error)}; starting over"
            self._fail(UnavailableError(reason))
        elif error is not None:
            self._fail(error)

    def _close(self) -> None:
        self._commit(asynchronous=self._thread.last_error is not None)  # Kafka may be away: waiting helps nobody
        self._consumer.close()  # calls _on_revoke for what is owned
        self._partitions.release(list(self._partitions.owners))

    def _subscribe(self) -> None:
        if not self._stale.is_set():
            return
        self._stale.clear()
        topics = sorted(self._topics())
        if not topics:
            self._waiting = None  # nothing is applied yet, or no longer: nothing to read
        if topics == self._subscribed:
            return
        self._subscribed = topics
        if topics:
            assign, release = self._thread.guarded(self._on_assign), self._thread.guarded(self._on_revoke)
            self._consumer.subscribe(topics, on_assign=assign, on_revoke=release, on_lost=release)
        else:
            self._consumer.unsubscribe()

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._waiting = "taking partitions over" if partitions else None
        self._takeover.add((at.topic, at.partition) for at in partitions)
        consumer.incremental_assign([])  # what has no owner is not read: without a call the client would assign all
        self._take_over()
        self._waiting = None

    def _take_over(self) -> None:
        before, self._waiting = self._waiting, "taking partitions over"  # which may last: state may have to be rebuilt
        starts = [TopicPartition(*where, start) for where, start in self._takeover.run().items()]
        self._waiting = before
        if not starts:
            return
        self._consumer.incremental_assign(starts)
        self._consumer.resume(starts)  # one that was paused when it was taken away may still be
        self._pause()
        _log.info("partitions assigned", group=self._settings.group, partitions=_names(starts))

    def _take(self, where: Where) -> int | None:
        at = _at(where)
        (found,) = self._ask(lambda: self._consumer.committed([at], timeout=ASK_SECONDS))
        committed = found.offset if found.offset >= 0 else None
        bounds = partial(self._ask, lambda: self._consumer.get_watermark_offsets(at, timeout=ASK_SECONDS))
        return self._partitions.take(where, committed, bounds)

    def _ask(self, question: Callable[[], T]) -> T:
        """Returns Kafka's answer.

        Raises:
            UnavailableError: there is none, or the process is about to stop.
        """
        self.beat()
        if self._thread.is_stopping:
            raise UnavailableError("the process is about to stop")
        try:
            return question()
        except KafkaException as error:
            raise UnavailableError(f"Kafka does not answer: {error.args[0].str()}") from error

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._commit(asynchronous=True)
        gone = [_where(at) for at in partitions]
        self._takeover.drop(gone)
        self._partitions.release(gone)
        for topic, partition in gone:
            with suppress(KeyError):
                CONSUMER_LAG.remove(workspace_of(topic), topic, str(partition))
        read = set(map(_where, consumer.assignment()))  # others had no owner yet, or were not wanted
        consumer.incremental_unassign([at for at in partitions if _where(at) in read])
        _log.info("partitions released", group=self._settings.group, partitions=_names(partitions))

    def _gather(self) -> None:
        with self._idle:
            self._idle.wait_for(lambda: self._in_work == 0, self._settings.gather_seconds)

    def _on_records(self, records: list[Message]) -> None:
        by_partition: dict[Where, list[Message]] = defaultdict(list)
        for record in records:
            by_partition[record.topic() or "", record.partition() or 0].append(record)
        for where, received in by_partition.items():
            owner = self._partitions.receive(where, received)
            if owner is not None:
                self._dispatch(owner, received)

    def _on_problem(self, message: Message, error: KafkaError) -> bool:
        where = message.topic() or "", message.partition() or 0
        if is_end(error):
            # The end that Kafka tells counts what no consumer sees (markers, aborted and uncommitted records).
            self._partitions.note_emptied(where, message.offset() or 0)
        elif is_lost(error):
            raise StorageError(
                f"{where[0]} partition {where[1]}: Kafka no longer holds the next record to process; "
                "restore log and state of the partition from a newer copy, then start this process again"
            )
        elif is_gone(error):  # as is a topic that was just made, for a moment
            _log.info("topic is not there", group=self._settings.group, problem=error.str())
        else:
            return False
        return True

    def _dispatch(self, owner: PartitionWorker, messages: list[Message]) -> None:
        if not self._permits.acquire(timeout=PERMIT_SECONDS) and not self._wait_for_permit():
            return
        with self._idle:
            self._in_work += 1
        asyncio.run_coroutine_threadsafe(self._send(Batch(owner, messages, self._done)), self._loop)

    def _wait_for_permit(self) -> bool:
        """Waits, without reading, as long as all batches are in work; returns False if the intake is to end.

        Meanwhile the client is still polled: it asks for that, to hear of partitions that move and of Kafka being away.
        """
        self._states.holding = True
        self._pause()
        try:
            while not self._permits.acquire(blocking=False):
                self.beat()
                if self._thread.is_stopping:
                    return False
                self._thread.poll_paused()
            return True
        finally:
            self._states.holding = False
            self._pause()

    def _note_waits(self) -> None:
        """Has partitions whose owners wait not read, so that what an owner keeps meanwhile is bounded."""
        owners = self._partitions.owners.items()
        self._states.note_waits({where: owner.waits_for is not None for where, owner in owners})
        self._pause()

    def _pause(self) -> None:
        begun, ended = self._states.pauses()
        if begun:
            self._consumer.pause([_at(where) for where in begun])
        if ended:
            self._consumer.resume([_at(where) for where in ended])

    def _done(self) -> None:
        self._permits.release()
        with self._idle:
            self._in_work -= 1
            if self._in_work == 0:
                self._idle.notify()

    def _tick(self) -> None:
        if time.monotonic() < self._next_tick:
            return
        self._next_tick = time.monotonic() + TICK_SECONDS
        if self._takeover.problem is not None:
            self._take_over()
        for owner in list(self._partitions.owners.values()):
            self._dispatch(owner, [])
        for where in self._partitions.owners:
            with suppress(KafkaException):
                self._partitions.note_end(where, self._consumer.get_watermark_offsets(_at(where), cached=True)[1])
        with suppress(KafkaException):
            for at in self._consumer.position([_at(where) for where in self._partitions.owners]):
                if at.offset >= 0:
                    self._partitions.note_passed((at.topic, at.partition), at.offset)
        for (topic, partition), lag in self._partitions.lag().items():
            CONSUMER_LAG.labels(workspace_of(topic), topic, str(partition)).set(lag)
        self._commit(asynchronous=True)

    def _commit(self, *, asynchronous: bool) -> None:
        offsets = [TopicPartition(*where, offset) for where, offset in self._partitions.to_commit().items()]
        if not offsets:
            return
        try:
            self._consumer.commit(offsets=offsets, asynchronous=asynchronous)  # type: ignore[call-overload] # a bool is either
        except KafkaException as error:
            # Only a hint: processing goes on from offsets of its own, and repeats are absorbed.
            _log.info("offsets not committed", group=self._settings.group, problem=str(error))

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        if error is not None:
            self._partitions.not_committed([(p.topic, p.partition) for p in partitions])


def _at(where: Where) -> TopicPartition:
    return TopicPartition(*where)


def _where(at: TopicPartition) -> Where:
    return at.topic, at.partition


def _names(partitions: list[TopicPartition]) -> list[str]:
    return [f"{p.topic}[{p.partition}]" + (f"@{p.offset}" if p.offset >= 0 else "") for p in partitions]
