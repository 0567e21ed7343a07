"""One producer and the thread that hears what became of its records, for everybody who writes streams.

Invariant: delivery reports are given in this one thread, from `start` to `stop`, as soon as they come; what is queued
at the end has a bounded time to be written.
"""

import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from confluent_kafka import KafkaError, Message

from infra.kafka.clients import Headers
from infra.kafka.errors import raised_now

POLL_SECONDS: Final = 0.1
FLUSH_PAUSE_SECONDS: Final = 0.01
STOP_SECONDS: Final = 5.0

OnDelivery = Callable[[KafkaError | None, Message], None]
"""Called in the thread with why Kafka did not take the record, or None."""


class ProduceClient(Protocol):
    """What is needed of a producer."""

    def __len__(self) -> int:
        """Returns how many records, and reports of them, wait."""

    def poll(self, timeout: float, /) -> int:
        """Gives the reports that there are, or the first one that comes in time."""

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        *,
        on_delivery: OnDelivery,
        headers: list[tuple[str, str | bytes | None]],
    ) -> None:
        """Queue a record."""


class ProducerThread:
    """A daemon thread that serves a producer's delivery reports.

    Args:
        name: of the thread.
        client: an idempotent producer that nobody else polls.
        on_failed: called in the thread with what ended it before it was stopped, raised by whoever hears of a delivery.
        on_reported: called in the thread after the reports that came together.
    """

    def __init__(
        self,
        name: str,
        client: ProduceClient,
        on_failed: Callable[[BaseException], None],
        on_reported: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._on_failed = on_failed
        self._on_reported = on_reported
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begins to hear from Kafka; returns at once, whether it is up or not."""
        self._thread.start()

    def stop(self, flush_seconds: float) -> None:
        """Gives what is queued so long to be written, then ends the thread."""
        deadline = time.monotonic() + flush_seconds
        while len(self._client) and time.monotonic() < deadline:
            self._stopping.wait(FLUSH_PAUSE_SECONDS)
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    def queued(self) -> int:
        """Returns how many records wait for Kafka, or their reports for this thread."""
        return len(self._client)

    def produce(
        self,
        topic: str,
        partition: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        on_delivery: OnDelivery,
    ) -> bool:
        """Queue a record and return at once: whether there was room for it. From any thread.

        Args:
            topic: where to.
            partition: of the topic; None to have it chosen by the key.
            key: the record's key.
            value: the record's value.
            headers: the record's headers.
            on_delivery: hears once what became of it.

        Raises:
            KafkaException: the producer refuses it, or cannot go on.
        """
        place = -1 if partition is None else partition
        try:
            self._client.produce(topic, value, key, place, on_delivery=on_delivery, headers=list(headers))
        except BufferError:
            return False
        return True

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._client.poll(POLL_SECONDS)
                self._on_reported()
        except:  # noqa: E722 - a thread that ends in silence lets everybody wait; see `raised_now`
            self._on_failed(raised_now())
