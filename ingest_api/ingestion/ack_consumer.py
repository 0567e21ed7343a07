"""The answers of processors, read from one partition of each workspace's acks topic.

The partition is chosen at random when a workspace is first seen; several processes may share one, each ignores what it
does not wait for.

Topics are asked about through a client of its own: on the connection that fetches, a question waits for the fetch
before it, which Kafka holds for 500 ms while there is nothing new.

Invariant: `partition_of` names a partition only once the reader stands at the end it had by then, so no answer to a
record that carries its number is missed while the reader runs.
"""

import random
import threading
from collections.abc import Callable
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from infra.kafka.clients import reader
from infra.kafka.errors import is_end, is_fatal, is_gone, is_lost
from infra.kafka.topics import ACKS_PARTITIONS
from infra.logs import get_logger
from schemas.errors import CodecError
from schemas.messages.updates import Ack, decode_acks
from schemas.topics import DEFINITIONS_TOPIC, acks_topic

BATCH: Final = 1_000
POLL_SECONDS: Final = 0.1
PROBE_SECONDS: Final = 0.5
RETRY_SECONDS: Final = 0.1
STOP_SECONDS: Final = 5.0

_log = get_logger(__name__)


class AckConsumer:
    """A daemon thread that hands over the answers of all workspaces that it was told of.

    Args:
        bootstrap: ``HOST:PORT``, several joined by commas.
        on_acks: called in the reader's thread with what came together; must not raise.
        on_fatal: called in the reader's thread with the reason when it cannot go on.
        chance: chooses partitions.
    """

    def __init__(
        self,
        bootstrap: str,
        on_acks: Callable[[list[Ack]], None],
        on_fatal: Callable[[str], None],
        chance: random.Random,
    ) -> None:
        self._on_acks = on_acks
        self._on_fatal = on_fatal
        self._chance = chance
        self._consumer = reader(bootstrap)
        self._asker = reader(bootstrap)
        self._wanted: frozenset[str] = frozenset()
        self._partitions: dict[str, int] = {}  # by workspace; replaced as a whole, since other threads read it
        self._failure: str | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reply reader", daemon=True)

    @property
    def failure(self) -> str | None:
        """What keeps answers from coming now, in words, or None."""
        return self._failure

    def partition_of(self, workspace: str) -> int | None:
        """Return the partition on which answers for a workspace are read; None until they are."""
        return self._partitions.get(workspace)

    def follow(self, workspaces: tuple[str, ...]) -> None:
        """Read the answers of these workspaces too, as soon as their topics are there; from any thread."""
        self._wanted |= frozenset(workspaces)

    def start(self) -> None:
        """Begin to read; returns at once, whether Kafka is up or not."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and disconnect."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                for workspace in sorted(self._wanted - self._partitions.keys()):
                    self._position(workspace)
                self._receive()
                if self._failure is not None:
                    self._probe()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the thread must not end in silence
            self._failure = f"reading answers ended: {error}; restart this process"
            _log.exception("reply reader ended")
            self._on_fatal(self._failure)
        finally:
            self._consumer.close()
            self._asker.close()

    def _position(self, workspace: str) -> None:
        """Begin to read a workspace's answers at the end of one partition; tried again later if Kafka is away."""
        topic = acks_topic(workspace)
        try:
            count = len(self._asker.list_topics(topic, timeout=PROBE_SECONDS).topics[topic].partitions)
            if count == 0:
                return
            partition = self._chance.randrange(min(count, ACKS_PARTITIONS))  # processors write to no others
            _, end = self._asker.get_watermark_offsets(TopicPartition(topic, partition), timeout=PROBE_SECONDS)
            self._consumer.incremental_assign([TopicPartition(topic, partition, end)])
        except KafkaException as error:
            self._report(error.args[0])
            return
        self._partitions = self._partitions | {workspace: partition}
        _log.info("answers are read", topic=topic, partition=partition, offset=end)

    def _receive(self) -> None:
        first = self._consumer.poll(POLL_SECONDS)  # consume() alone would wait for a full batch
        if first is None:
            return
        acks: list[Ack] = []
        for message in (first, *self._consumer.consume(BATCH - 1, 0)):
            acks += self._acks_of(message)
        if acks:
            self._on_acks(acks)

    def _acks_of(self, message: Message) -> list[Ack]:
        error = message.error()
        if error is not None:
            self._meet(message, error)
            return []
        try:
            return decode_acks(message.value() or b"")
        except CodecError as problem:
            _log.error("answers refused", topic=message.topic(), offset=message.offset(), problem=str(problem))
            return []

    def _meet(self, message: Message, error: KafkaError) -> None:
        topic, partition = message.topic(), message.partition()
        if is_end(error):
            return
        if is_fatal(error):
            raise RuntimeError(error.str())
        if (is_lost(error) or is_gone(error)) and topic is not None and partition is not None:
            _log.warning("answers are lost, reading goes on at the end", topic=topic, problem=error.str())
            self._consumer.incremental_unassign([TopicPartition(topic, partition)])
            self._partitions = {name: at for name, at in self._partitions.items() if acks_topic(name) != topic}
        else:
            self._report(error)

    def _report(self, error: KafkaError) -> None:
        if self._failure is None:
            _log.warning("reply reader waits", problem=error.str())
        self._failure = f"Kafka: {error.str()}"

    def _probe(self) -> None:
        """Ask whether the problem has passed: no answer need ever come to show it."""
        try:
            self._asker.list_topics(DEFINITIONS_TOPIC, timeout=PROBE_SECONDS)
        except KafkaException as error:
            self._report(error.args[0])
            self._stopping.wait(RETRY_SECONDS)
        else:
            self._failure = None
            _log.info("reply reader goes on")
