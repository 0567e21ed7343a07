"""Following a topic of one partition from its beginning, forever: how processes share definitions and schemas.

Invariant: ``on_record`` sees every record once, in offset order, from one thread; if that can no longer be promised
(it raised, or Kafka lost records it had not seen), the follower ends for good and says so, and never skips.

Outages of Kafka end by themselves: the thread keeps asking, `failure` tells meanwhile what is wrong.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, Message, TopicPartition

from infra.kafka.clients import admin, end_offset, reader
from infra.kafka.errors import is_end, is_fatal, is_lost
from infra.logs import get_logger
from schemas.errors import UnavailableError

OnRecord = Callable[[int, bytes, bytes | None], None]
"""Takes offset, key (empty if the record has none) and value (None for a tombstone)."""

BATCH: Final = 1_000
POLL_SECONDS: Final = 0.1
PROBE_SECONDS: Final = 0.5
METADATA_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 0.05
STOP_SECONDS: Final = 5.0

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
        self._consumer = reader(bootstrap, self._on_error)
        self._admin = admin(bootstrap)
        self._moved = threading.Condition()
        self._next_offset = 0
        self._failure: str | None = None
        self._ended = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"follow {topic}", daemon=True)

    @property
    def failure(self) -> str | None:
        """What is wrong now, in words, or None."""
        return self._failure

    def start(self) -> None:
        """Begin to read; returns at once, whether Kafka is up or not."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and disconnect; nothing is called back afterwards."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)
        self._consumer.close()

    def read_to_end(self, timeout_seconds: float) -> None:
        """Wait until everything that was in the topic when this was called has been handed over.

        Raises:
            UnavailableError: not in time, with what is wrong; at once if the follower has ended.
        """
        deadline = time.monotonic() + timeout_seconds
        self._wait(self._end_offset(deadline), deadline)

    def wait_read(self, offset: int, timeout_seconds: float) -> None:
        """Wait until the record at this offset, which is known to be in the topic, has been handed over.

        Raises:
            UnavailableError: as `read_to_end`.
        """
        self._wait(offset + 1, time.monotonic() + timeout_seconds)

    def _wait(self, next_offset: int, deadline: float) -> None:
        with self._moved:
            remaining = deadline - time.monotonic()
            self._moved.wait_for(lambda: self._ended or self._next_offset >= next_offset, remaining)
            if self._ended or self._next_offset < next_offset:
                raise self._late(f"read up to offset {self._next_offset} of {next_offset}")

    def _end_offset(self, deadline: float) -> int:
        while not self._ended and not self._stopping.is_set():
            try:
                return end_offset(self._admin, self._topic, 0, max(deadline - time.monotonic(), RETRY_SECONDS))
            except UnavailableError as error:
                if time.monotonic() >= deadline:
                    raise self._late(str(error)) from error
            self._stopping.wait(RETRY_SECONDS)
        raise self._late("the follower has ended")

    def _late(self, where: str) -> UnavailableError:
        reason = f"; {self._failure}" if self._failure else ""
        remedy = "" if self._ended else "; check that Kafka runs, and try again"
        return UnavailableError(f"topic {self._topic} was not read to its end in time: {where}{reason}{remedy}")

    def _run(self) -> None:
        # A KafkaError raised in a callback passes `except Exception`: only `finally` sees that end.
        failure: str | None = f"following {self._topic} ended for no known reason; restart this process"
        try:
            self._learn_leader()
            self._consumer.assign([TopicPartition(self._topic, 0, OFFSET_BEGINNING)])
            while not self._stopping.is_set():
                self._receive()
                if self._failure is not None:
                    self._probe()
            failure = None
        except Exception as error:  # noqa: BLE001 - whatever it is, the thread must not end in silence
            failure = f"following {self._topic} ended: {error}; restart this process"
            _log.exception("follower ended", topic=self._topic, next_offset=self._next_offset)
        finally:
            with self._moved:
                self._failure = failure or self._failure
                self._ended = True
                self._moved.notify_all()

    def _learn_leader(self) -> None:
        """Ask who leads the topic: a consumer that is assigned what it does not know looks half a second later only."""
        with suppress(KafkaException):  # reading begins when Kafka is there, and tells meanwhile what is wrong
            self._consumer.list_topics(self._topic, METADATA_SECONDS)

    def _receive(self) -> None:
        first = self._consumer.poll(POLL_SECONDS)  # consume() alone would wait for a full batch
        if first is None:
            return
        for message in (first, *self._consumer.consume(BATCH - 1, 0)):
            self._take(message)
        with self._moved:
            self._moved.notify_all()

    def _take(self, message: Message) -> None:
        error = message.error()
        offset = message.offset()
        if error is None and offset is not None:
            self._on_record(offset, message.key() or b"", message.value())
            self._next_offset = offset + 1
        elif error is None:
            raise RuntimeError("a record came without its offset")
        elif is_end(error):
            self._next_offset = max(self._next_offset, offset or 0)
        elif is_lost(error):
            raise self._lost()
        elif is_fatal(error):
            raise RuntimeError(error.str())
        else:
            self._report(error.str())

    def _lost(self) -> RuntimeError:
        return RuntimeError(f"Kafka does not hold offset {self._next_offset} any more, the topic was made anew or cut")

    def _on_error(self, error: KafkaError) -> None:
        self._report(error.str())

    def _report(self, problem: str) -> None:
        if self._failure is None:
            _log.warning("follower waits", topic=self._topic, problem=problem)
        self._failure = problem

    def _probe(self) -> None:
        """Ask whether the problem has passed: no record need ever come to show it."""
        try:
            # An end that lies before what was read is no loss: a broker that was killed tells an older one for a moment
            # after its start. Whether records are gone is for the fetch to say, which goes by the log itself.
            end_offset(self._admin, self._topic, 0, PROBE_SECONDS)
        except UnavailableError as error:
            self._report(str(error))
        else:
            self._failure = None
            _log.info("follower goes on", topic=self._topic, next_offset=self._next_offset)
