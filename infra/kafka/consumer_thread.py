"""One consumer on one thread of its own: reading, outages of Kafka, and how it ends, for everybody who reads.

Who uses it keeps what differs, as functions that are called in this thread: what to do with records, what an error
means here, and how to find out whether Kafka is back.

Invariant: once the thread runs, it alone uses the consumer; outages end by themselves; and however the thread ends,
``on_end`` is called, once, so it never ends in silence.
"""

import threading
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from infra.kafka.errors import is_fatal, raised_now, words
from infra.logs import get_logger
from schemas.errors import UnavailableError

BATCH: Final = 1_000
POLL_SECONDS: Final = 0.1
PROBE_SECONDS: Final = 0.5
"""What a probe may take: everything that the thread does waits for it."""

STOP_SECONDS: Final = 5.0

Rebalanced = Callable[[Consumer, list[TopicPartition]], None]

_log = get_logger(__name__)


class PollClient(Protocol):
    """What the thread itself needs of a consumer."""

    def poll(self, timeout: float, /) -> Message | None:
        """Returns the next message or error; None if none comes in time."""

    def consume(self, num_messages: int, timeout: float, /) -> list[Message]:
        """Returns up to so many messages and errors."""

    def close(self) -> None:
        """Leave the group, if it is in one, and disconnect."""


Client = TypeVar("Client", bound=PollClient)


def _nothing() -> None:
    pass


class ConsumerThread(Generic[Client]):
    """A daemon thread that reads until it is stopped or something raises.

    Args:
        name: of the thread, for the log.
        make: makes the consumer, given what it is to call with the errors of its connections (``error_cb``).
        on_records: called with the records of each batch, never with none.
        on_problem: called, after the batch's records, for each error that came among them and does not end the
            consumer; returns whether that was all there is to do about it. Otherwise it counts as a sign of an outage.
        probe: asks Kafka, within ``PROBE_SECONDS``, whether the outage is over; raises what the client raises, or
            UnavailableError, if it is not. No record need ever come to show it.
        on_end: called once, as the last thing before the consumer is closed: with what ended the thread, or with None
            if it was asked to stop. Must not raise.
        on_start: called before everything else.
        close: closes the consumer, in another way than by its ``close`` alone; may raise.
        before_poll: called in each round; a round takes ``POLL_SECONDS`` while nothing comes.
        gather: called when a record is there, before others are fetched with it.
        batch: most messages of one batch.

    Attributes:
        consumer: for use by these functions, and before `start`.
        failure: what keeps records from coming now, in words, or None.
        last_error: what the client has complained of since Kafka answered last, or None; not every one is an outage.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[Callable[[KafkaError], None]], Client],
        *,
        on_records: Callable[[list[Message]], None],
        on_problem: Callable[[Message, KafkaError], bool],
        probe: Callable[[], object],
        on_end: Callable[[BaseException | None], None],
        on_start: Callable[[], None] = _nothing,
        close: Callable[[], None] | None = None,
        before_poll: Callable[[], None] = _nothing,
        gather: Callable[[], None] = _nothing,
        batch: int = BATCH,
    ) -> None:
        self.failure: str | None = None
        self.last_error: str | None = None
        self._name = name
        self._on_records = on_records
        self._on_problem = on_problem
        self._probe = probe
        self._on_end = on_end
        self._on_start = on_start
        self._close_client = close
        self._before_poll = before_poll
        self._gather = gather
        self._batch = batch
        self._raised: BaseException | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.consumer = make(self._on_error)

    @property
    def is_stopping(self) -> bool:
        """Whether the thread is to end as soon as it can."""
        return self._stopping.is_set() or self._raised is not None

    def start(self) -> None:
        """Begins to read; returns at once, whether Kafka is up or not."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and disconnects, for a bounded time; nothing is called back afterwards."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    def wait(self, seconds: float) -> None:
        """Waits so long, or until the thread is to stop; from any thread."""
        self._stopping.wait(seconds)

    def suspect(self, problem: str) -> None:
        """Has Kafka probed before the next round, because of a problem."""
        if self.last_error is None:
            _log.warning("consumer problem", thread=self._name, problem=problem)
        self.last_error = problem

    def guarded(self, callback: Rebalanced) -> Rebalanced:
        """Returns a callback for the client whose errors end the thread: raised through librdkafka they are lost."""

        def guarded(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            try:
                callback(consumer, partitions)
            except:  # noqa: E722 - KafkaError is not a BaseException: only a bare except sees it
                self._raised = raised_now()

        return guarded

    def poll_paused(self) -> None:
        """Does a round while no partition is read: the client asks to be polled, and what else it tells is heard.

        Raises:
            UnavailableError: a record came all the same.
        """
        message = self.consumer.poll(POLL_SECONDS)
        if message is not None and message.error() is None:
            raise UnavailableError(f"{message.topic()}: a record came from a partition that is paused")
        self._judge([] if message is None else [message])
        self._check()

    def _run(self) -> None:
        ended: BaseException | None = None
        try:
            self._on_start()
            while not self._stopping.is_set():
                self._round()
        except:  # noqa: E722 - KafkaError, which a callback may raise, is not a BaseException: only a bare except sees it
            ended = raised_now()
        finally:
            self._on_end(ended)
            self._close()

    def _round(self) -> None:
        self._before_poll()
        messages: list[Message] = []
        first = self.consumer.poll(POLL_SECONDS)  # consume() alone would wait for a full batch
        if first is not None:
            self._gather()
            messages = [first, *self.consumer.consume(self._batch - 1, 0)]
        records = [message for message in messages if message.error() is None]
        if records:
            self._on_records(records)
        if len(records) < len(messages):
            self._judge(messages)
        self._check()
        if self._raised is not None:
            raised, self._raised = self._raised, None
            raise raised

    def _judge(self, messages: list[Message]) -> None:
        for message in messages:
            error = message.error()
            if error is None:
                continue
            if is_fatal(error):
                raise KafkaException(error)
            if not self._on_problem(message, error):
                self.suspect(error.str())

    def _on_error(self, error: KafkaError) -> None:
        # No warning yet: one of several brokers may be restarting, which the client lives through.
        self.last_error = error.str()

    def _check(self) -> None:
        if self.last_error is None:
            return
        try:
            self._probe()
        except (KafkaException, UnavailableError):
            if self.failure is None:
                _log.warning("waiting for Kafka", thread=self._name, problem=self.last_error)
            self.failure = self.last_error
        else:
            if self.failure is not None:
                _log.info("Kafka is back", thread=self._name)
            self.last_error = self.failure = None

    def _close(self) -> None:
        try:
            # In a group this has partitions revoked, by a guarded callback.
            (self._close_client or self.consumer.close)()
        except (KafkaException, RuntimeError, UnavailableError) as error:
            self._raised = error
        if self._raised is not None:
            _log.warning("consumer was not closed properly", thread=self._name, problem=words(self._raised))
