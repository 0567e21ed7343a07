"""The answers of processors, read from one partition of each workspace's acks topic.

The partition is chosen at random when a workspace is first seen; several processes may share one, each ignores what it
does not wait for.

Topics are asked about through a client of its own: on the connection that fetches, a question waits for the fetch
before it, which Kafka holds for ``FETCH_WAIT_MS`` while there is nothing new.

Invariant: `partition_of` names a partition only once the reader stands at the end it had by then, so no answer to a
record that carries its number is missed while the reader runs.
"""

import random
from collections.abc import Callable
from functools import partial
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from infra.kafka.clients import reader
from infra.kafka.consumer_thread import PROBE_SECONDS, ConsumerThread
from infra.kafka.errors import is_end, is_gone, is_lost, words
from infra.kafka.topics import ACKS_PARTITIONS
from infra.logs import get_logger
from schemas.errors import CodecError
from schemas.messages.updates import Ack, decode_acks
from schemas.topics import DEFINITIONS_TOPIC, acks_topic

FETCH_WAIT_MS: Final = 100  # the first answers of a workspace that comes later wait for it twice

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
        self._asker = reader(bootstrap)
        self._wanted: frozenset[str] = frozenset()
        self._partitions: dict[str, int] = {}  # by workspace; replaced as a whole, since other threads read it
        self._end: str | None = None  # why nothing is read any more
        self._thread: ConsumerThread[Consumer] = ConsumerThread(
            "ack consumer",
            partial(reader, bootstrap, fetch_wait_ms=FETCH_WAIT_MS),
            before_poll=self._position,
            on_records=self._take,
            on_problem=self._on_problem,
            probe=self._probe,
            on_end=self._on_end,
        )

    @property
    def failure(self) -> str | None:
        """What keeps answers from coming now, in words, or None."""
        problem = self._thread.failure
        return self._end or (problem and f"Kafka: {problem}")

    def partition_of(self, workspace: str) -> int | None:
        """Returns the partition on which answers for a workspace are read; None until they are."""
        return self._partitions.get(workspace)

    def follow(self, workspaces: tuple[str, ...]) -> None:
        """Reads the answers of these workspaces too, as soon as their topics are there; from any thread."""
        self._wanted |= frozenset(workspaces)

    def start(self) -> None:
        """Begins to read; returns at once, whether Kafka is up or not."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and disconnects."""
        self._thread.stop()

    def _position(self) -> None:
        """Begins to read answers of further workspaces, each at the end of one partition; again later if that fails."""
        for workspace in sorted(self._wanted - self._partitions.keys()):
            topic = acks_topic(workspace)
            try:
                count = len(self._asker.list_topics(topic, timeout=PROBE_SECONDS).topics[topic].partitions)
                if count == 0:
                    continue
                partition = self._chance.randrange(min(count, ACKS_PARTITIONS))  # processors write to no others
                _, end = self._asker.get_watermark_offsets(TopicPartition(topic, partition), timeout=PROBE_SECONDS)
                # What a consumer is assigned and does not know it looks for 0.5 to 1 s later only: as long, a
                # workspace's first answers came late.
                self._thread.consumer.list_topics(topic, timeout=PROBE_SECONDS)
                self._thread.consumer.incremental_assign([TopicPartition(topic, partition, end)])
            except KafkaException as error:
                self._thread.suspect(words(error))
                continue
            self._partitions = self._partitions | {workspace: partition}
            _log.info("answers are read", topic=topic, partition=partition, offset=end)

    def _take(self, records: list[Message]) -> None:
        acks: list[Ack] = []
        for record in records:
            try:
                acks += decode_acks(record.value() or b"")
            except CodecError as problem:
                _log.error("answers refused", topic=record.topic(), offset=record.offset(), problem=str(problem))
        if acks:
            self._on_acks(acks)

    def _on_problem(self, message: Message, error: KafkaError) -> bool:
        topic, partition = message.topic(), message.partition()
        if (is_lost(error) or is_gone(error)) and topic is not None and partition is not None:
            # The topic was truncated, deleted or made anew. What is read is chosen again, once it is there.
            _log.warning("answers are lost, reading goes on at the end", topic=topic, problem=error.str())
            self._thread.consumer.incremental_unassign([TopicPartition(topic, partition)])
            self._partitions = {name: at for name, at in self._partitions.items() if acks_topic(name) != topic}
            return True
        return is_end(error)

    def _probe(self) -> None:
        self._asker.list_topics(DEFINITIONS_TOPIC, timeout=PROBE_SECONDS)

    def _on_end(self, error: BaseException | None) -> None:
        if error is not None:
            self._end = f"reading answers ended: {words(error)}; restart this process"
            _log.error("ack consumer ended", exc_info=error)
            self._on_fatal(self._end)
        self._asker.close()
