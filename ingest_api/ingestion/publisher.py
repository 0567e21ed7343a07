"""Records on their way into Kafka: one idempotent producer, and a thread that hears what became of each record.

Invariant: every record that Kafka did not take is reported to ``on_deliveries`` once, after the delivery timeout at the
latest; so is every other one whose success was asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message

from infra.kafka.clients import producer, warm
from infra.kafka.errors import is_fatal, words
from infra.kafka.producer_thread import ProducerThread
from schemas.errors import OverloadedError, UnavailableError
from schemas.limits import MAX_QUEUED_RECORDS
from schemas.messages.updates import PLAN_HEADER, REPLY_HEADER, ReplyAddress, place_of

FLUSH_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """What Kafka said to one record: why it did not take it, or None."""

    request: bytes
    index: int
    failure: str | None


class Publisher:
    """Writes records to source topics.

    Args:
        bootstrap: ``HOST:PORT``, several joined by commas.
        on_deliveries: called in the publisher's thread with what came together; must not raise.
        on_fatal: called in any thread with the reason when no record can be written any more in this process.
        delivery_timeout_seconds: after this a record that Kafka has not confirmed is reported as failed.
    """

    def __init__(
        self,
        bootstrap: str,
        on_deliveries: Callable[[list[Delivery]], None],
        on_fatal: Callable[[str], None],
        delivery_timeout_seconds: float,
    ) -> None:
        self._on_deliveries = on_deliveries
        self._deliveries: list[Delivery] = []  # of the publisher's thread
        self._on_fatal = on_fatal
        self._producer = producer(bootstrap, delivery_timeout_seconds=delivery_timeout_seconds)
        self._thread = ProducerThread("publisher", self._producer, self._on_failed, self._report)

    def start(self) -> None:
        """Begins to hear from Kafka; returns at once, whether it is up or not."""
        self._thread.start()

    def stop(self) -> None:
        """Gives what is queued a moment to be written, then end."""
        self._thread.stop(FLUSH_SECONDS)

    def warm(self, topic: str) -> None:
        """Makes a topic's first record as quick as the others; blocks.

        Raises:
            UnavailableError: Kafka does not answer.
        """
        warm(self._producer, topic)

    def room_for(self, records: int) -> None:
        """Refuses what the queue could not hold, before any of it is published.

        Raises:
            OverloadedError: too many records wait for Kafka.
        """
        if self._thread.queued() + records > MAX_QUEUED_RECORDS:
            raise OverloadedError(f"{MAX_QUEUED_RECORDS} records wait for Kafka, which is the limit")

    def publish(
        self, topic: str, partition: int, value: bytes, reply: ReplyAddress, plan: bytes, *, report_success: bool
    ) -> None:
        """Queue one record; returns at once.

        Args:
            topic: of the source.
            partition: of the topic.
            value: the framed record.
            reply: who waits for its answer.
            plan: the header that names the plan it was checked against.
            report_success: whether anyone waits for Kafka alone; each report wakes the event loop.

        Raises:
            OverloadedError: the queue is full.
            UnavailableError: the producer cannot go on.
        """
        request, index = reply.request, reply.index

        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is not None or report_success:
                self._delivered(request, index, error)

        headers = [(REPLY_HEADER, reply.header(place_of(topic, partition))), (PLAN_HEADER, plan)]
        try:
            has_room = self._thread.produce(topic, partition, None, value, headers, delivered)
        except KafkaException as error:
            self._check(error.args[0])
            raise UnavailableError(f"cannot write to {topic}: {words(error)}") from error
        if not has_room:
            raise OverloadedError("the queue of records that wait for Kafka is full")

    def _delivered(self, request: bytes, index: int, error: KafkaError | None) -> None:
        failure = None
        if error is not None:
            self._check(error)
            failure = f"Kafka did not confirm the record: {error.str()}"
        self._deliveries.append(Delivery(request, index, failure))

    def _check(self, error: KafkaError) -> None:
        if is_fatal(error):
            self._on_fatal(f"the producer cannot go on: {error.str()}")

    def _report(self) -> None:
        if self._deliveries:
            deliveries, self._deliveries = self._deliveries, []
            self._on_deliveries(deliveries)

    def _on_failed(self, error: BaseException) -> None:
        self._on_fatal(f"hearing from Kafka ended: {words(error)}")
