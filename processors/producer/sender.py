"""Sending with checked delivery: the one place through which processors produce.

Invariant: ``done`` is called once all of a batch's messages are in Kafka, never before; a message that Kafka refuses
ends the process, so its batch is processed again. A Kafka that is away refuses nothing: messages wait for it, however
long, and ``problem`` says so meanwhile. What waits is bounded, as the batches that are on their way are.
"""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message

from infra.kafka.errors import is_gone
from infra.kafka.producer_thread import OnDelivery, ProduceClient, ProducerThread
from processors.producer.messages import OutMessage
from schemas.errors import UnavailableError

FULL_QUEUE_SECONDS: Final = 0.01
LATE_SECONDS: Final = 5.0  # without a confirmation, that are worth telling
FLUSH_SECONDS: Final = 2.0  # what is not delivered by then is sent again by whoever goes on


class _Pending:
    """Counts a batch's deliveries; ``done`` runs in the thread that sees the last one."""

    def __init__(self, count: int, done: Callable[[], None]) -> None:
        self.since = time.monotonic()
        self._left = count
        self._done = done
        self._lock = threading.Lock()

    def arrived(self) -> None:
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last:
            self._done()


class DeliveryProducer:
    """Produces batches and reports when they are delivered.

    Args:
        producer: an idempotent producer that is nobody else's, and whose records never time out.
        fail: called, from the producer's thread, with what ends the process.
    """

    def __init__(self, producer: ProduceClient, fail: Callable[[BaseException], None]) -> None:
        self._fail = fail
        self._unconfirmed: dict[int, _Pending] = {}  # by age
        self._batches = itertools.count()
        self._thread = ProducerThread("delivery producer", producer, fail)

    @property
    def problem(self) -> str | None:
        """What Kafka has not confirmed for too long, or None; from any thread."""
        oldest = next(iter(list(self._unconfirmed.values())), None)
        waited = 0.0 if oldest is None else time.monotonic() - oldest.since
        return f"Kafka has not confirmed messages for {waited:.0f} s" if waited >= LATE_SECONDS else None

    def start(self) -> None:
        """Begins to serve delivery reports."""
        self._thread.start()

    def stop(self) -> None:
        """Waits, for a bounded time, until all is delivered; ends the thread."""
        self._thread.stop(FLUSH_SECONDS)

    async def send(self, messages: Sequence[OutMessage], done: Callable[[], None]) -> None:
        """Hands messages to the producer; ``done`` is called when all are in Kafka, at once if there are none.

        Waits only while the producer's queue is full.

        Raises:
            UnavailableError: the producer refuses a message.
        """
        if not messages:
            done()
            return
        number = next(self._batches)

        def confirmed() -> None:
            del self._unconfirmed[number]
            done()

        pending = self._unconfirmed[number] = _Pending(len(messages), confirmed)

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is None:
                pending.arrived()
            else:
                self._fail(_refused(message.topic() or "", error))

        for message in messages:
            while not self._produce(message, delivered):  # noqa: ASYNC110 - librdkafka tells nobody that there is room
                await asyncio.sleep(FULL_QUEUE_SECONDS)

    def _produce(self, message: OutMessage, delivered: OnDelivery) -> bool:
        """Returns whether there was room for a message."""
        topic, partition, key, value, headers = message
        try:
            return self._thread.produce(topic, partition, key, value, headers, delivered)
        except KafkaException as error:
            raise _refused(topic, error.args[0]) from error


def _refused(topic: str, error: KafkaError) -> UnavailableError:
    remedy = "starting over"
    if is_gone(error):
        remedy = "apply the workspace's repository again, which makes missing topics"
    return UnavailableError(f"Kafka did not take a message for {topic}: {error.str()}; {remedy}")
