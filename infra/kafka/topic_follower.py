"""Following a topic of one partition from its beginning, forever: how processes share definitions and schemas.

Invariant: ``on_record`` sees every record once, in offset order, from one thread; if that can no longer be promised
(it raised, or Kafka lost records it had not seen), the follower ends for good and says so, and never skips.

Outages of Kafka end by themselves: the thread keeps asking, `failure` tells meanwhile what is wrong.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from infra.kafka.clients import admin, end_offset, reader
from infra.kafka.consumer_thread import PROBE_SECONDS, ConsumerThread
from infra.kafka.errors import is_end, is_lost, words
from infra.logs import get_logger
from schemas.errors import UnavailableError

OnRecord = Callable[[int, bytes, bytes | None], None]
"""Takes offset, key (empty if the record has none) and value (None for a tombstone)."""

METADATA_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 0.05

_log = get_logger(__name__)


class TopicFollower:
    """A daemon thread that hands the records of partition 0 to a callback.

    Args:
        bootstrap: ``HOST:PORT``, several joined by commas.
        topic: the topic; it may appear later.
        on_record: called for each record; must not raise for what a record may hold.
    """

    def __init__(self, bootstrap: str, topic: str, on_record: OnRecord) -> None:
        self._topic = topic
        self._on_record = on_record
        self._admin = admin(bootstrap)
        self._moved = threading.Condition()
        self._next_offset = 0
        self._end: str | None = None  # why nothing is read any more
        self._thread: ConsumerThread[Consumer] = ConsumerThread(
            f"follow {topic}",
            partial(reader, bootstrap),
            on_start=self._assign,
            on_records=self._hand_over,
            on_problem=self._on_problem,
            probe=self._probe,
            on_end=self._on_end,
        )

    @property
    def failure(self) -> str | None:
        """What is wrong now, in words, or None."""
        return self._end or self._thread.failure

    def start(self) -> None:
        """Begins to read; returns at once, whether Kafka is up or not."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and disconnects; nothing is called back afterwards."""
        self._thread.stop()

    def read_to_end(self, timeout_seconds: float) -> None:
        """Waits until everything that was in the topic when this was called has been handed over.

        Raises:
            UnavailableError: not in time, with what is wrong; at once if the follower has ended.
        """
        deadline = time.monotonic() + timeout_seconds
        self._wait(self._end_offset(deadline), deadline)

    def wait_read(self, offset: int, timeout_seconds: float) -> None:
        """Waits until the record at this offset, which is known to be in the topic, has been handed over.

        Raises:
            UnavailableError: as `read_to_end`.
        """
        self._wait(offset + 1, time.monotonic() + timeout_seconds)

    def _wait(self, next_offset: int, deadline: float) -> None:
        with self._moved:
            remaining = deadline - time.monotonic()
            self._moved.wait_for(lambda: self._end is not None or self._next_offset >= next_offset, remaining)
            if self._end is not None or self._next_offset < next_offset:
                raise self._late(f"read up to offset {self._next_offset} of {next_offset}")

    def _end_offset(self, deadline: float) -> int:
        while self._end is None and not self._thread.is_stopping:
            try:
                return end_offset(self._admin, self._topic, 0, max(deadline - time.monotonic(), RETRY_SECONDS))
            except UnavailableError as error:
                if time.monotonic() >= deadline:
                    raise self._late(str(error)) from error
            self._thread.wait(RETRY_SECONDS)
        raise self._late("the follower has ended")

    def _late(self, where: str) -> UnavailableError:
        reason = f"; {self.failure}" if self.failure else ""
        remedy = "" if self._end is not None else "; check that Kafka runs, and try again"
        return UnavailableError(f"topic {self._topic} was not read to its end in time: {where}{reason}{remedy}")

    def _assign(self) -> None:
        # A consumer that is assigned what it does not know looks for its leader half a second later only.
        with suppress(KafkaException):  # reading begins when Kafka is there, and tells meanwhile what is wrong
            self._thread.consumer.list_topics(self._topic, METADATA_SECONDS)
        self._thread.consumer.assign([TopicPartition(self._topic, 0, OFFSET_BEGINNING)])

    def _hand_over(self, records: list[Message]) -> None:
        for record in records:
            offset = record.offset()
            if offset is None:
                raise RuntimeError("a record came without its offset")
            self._on_record(offset, record.key() or b"", record.value())
            self._next_offset = offset + 1
        with self._moved:
            self._moved.notify_all()

    def _on_problem(self, message: Message, error: KafkaError) -> bool:
        if is_lost(error):
            raise RuntimeError(
                f"Kafka does not hold offset {self._next_offset} any more, the topic was made anew or cut"
            )
        if is_end(error):
            with self._moved:
                self._next_offset = max(self._next_offset, message.offset() or 0)
                self._moved.notify_all()
        return is_end(error)

    def _probe(self) -> None:
        # An end that lies before what was read is no loss: a broker that was killed tells an older one for a moment
        # after its start. Whether records are gone is for the fetch to say, which goes by the log itself.
        end_offset(self._admin, self._topic, 0, PROBE_SECONDS)

    def _on_end(self, error: BaseException | None) -> None:
        if error is not None:
            _log.error("follower ended", topic=self._topic, next_offset=self._next_offset, exc_info=error)
        with self._moved:
            why = "it was stopped" if error is None else f"{words(error)}; restart this process"
            self._end = f"following {self._topic} ended: {why}"
            self._moved.notify_all()
