"""The thread around a played consumer: no broker."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from infra.kafka.consumer_thread import ConsumerThread
from infra.kafka.errors import words
from schemas.errors import UnavailableError
from tests.support.waiting import wait_until

END, FATAL, AWAY = -191, -150, -187  # as rdkafka.h has them

Event = Message | Callable[[], None]
"""What a poll gives, or meets."""


def record(offset: int) -> Message:
    return Message(topic="t", partition=0, offset=offset, value=b"")


def problem(code: int, offset: int = 0) -> Message:
    return Message(topic="t", partition=0, offset=offset, error=KafkaError(code))


@dataclass
class Played:
    """A consumer that gives what a test puts into it; one put gives what one poll and the fetch after it find."""

    on_error: Callable[[KafkaError], None]
    puts: queue.Queue[list[Event]] = field(default_factory=queue.Queue)
    rest: list[Event] = field(default_factory=list)
    closed: bool = False

    def poll(self, timeout: float, /) -> Message | None:
        if not self.rest:
            try:
                self.rest = self.puts.get(timeout=timeout)
            except queue.Empty:
                return None
        event = self.rest.pop(0)
        if isinstance(event, Message):
            return event
        try:  # noqa: SIM105 - a KafkaError is not a BaseException
            event()
        except:  # noqa: E722, S110 - librdkafka loses what a callback raises, a KafkaError too
            pass
        return None

    def consume(self, num_messages: int, _timeout: float, /) -> list[Message]:
        taken, self.rest = self.rest[:num_messages], self.rest[num_messages:]
        return [each for each in taken if isinstance(each, Message)]

    def close(self) -> None:
        self.closed = True


@dataclass
class World:
    """What the thread's user decides, and what it was told."""

    told: list[str] = field(default_factory=list)
    ended: list[BaseException | None] = field(default_factory=list)
    is_away: bool = False
    probes: int = 0
    raises: object = None

    def on_records(self, records: list[Message]) -> None:
        self.told.append(f"records {[each.offset() for each in records]}")
        if self.raises is not None:
            raise self.raises  # type: ignore[misc]  # a KafkaError is no exception, and is raised all the same

    def on_problem(self, message: Message, error: KafkaError) -> bool:
        self.told.append(f"problem {error.code()} at {message.offset()}")
        return error.code() == END

    def probe(self) -> None:
        self.probes += 1
        if self.is_away:
            raise UnavailableError("no answer")


@contextmanager
def running(world: World) -> Iterator[ConsumerThread[Played]]:
    thread = ConsumerThread(
        "played",
        Played,
        on_records=world.on_records,
        on_problem=world.on_problem,
        probe=world.probe,
        on_end=world.ended.append,
        on_start=lambda: world.told.append("start"),
        gather=lambda: world.told.append("gather"),
        batch=3,
    )
    thread.start()
    try:
        yield thread
    finally:
        thread.stop()
    assert thread.consumer.closed


def test_a_batch_is_what_is_there_and_has_its_bound() -> None:
    world = World()
    with running(world) as thread:
        thread.consumer.puts.put([record(n) for n in range(4)])
        wait_until(lambda: len(world.told) == 5)
    assert world.told == ["start", "gather", "records [0, 1, 2]", "gather", "records [3]"]
    assert world.ended == [None]


def test_the_end_of_a_partition_is_told_after_the_records_before_it() -> None:
    world = World()
    with running(world) as thread:
        thread.consumer.puts.put([problem(END, 1), record(1), problem(END, 2)])
        wait_until(lambda: len(world.told) == 5)
        assert thread.failure is None
    assert world.told[2:] == ["records [1]", f"problem {END} at 1", f"problem {END} at 2"]


def test_a_consumer_that_cannot_go_on_ends_the_thread() -> None:
    world = World()
    with running(world) as thread:
        thread.consumer.puts.put([problem(FATAL)])
        wait_until(lambda: bool(world.ended))
    assert [type(each) for each in world.ended] == [KafkaException]
    assert world.told == ["start", "gather"]


@pytest.mark.parametrize("from_connections", [True, False])
def test_an_outage_is_told_until_the_probe_says_that_it_is_over(from_connections: bool) -> None:
    world = World(is_away=True)
    with running(world) as thread:
        error = KafkaError(AWAY, "all brokers are down")
        consumer = thread.consumer
        message = Message(topic="t", partition=0, error=error)
        consumer.puts.put([lambda: consumer.on_error(error)] if from_connections else [message])
        wait_until(lambda: thread.failure == "all brokers are down")
        world.is_away = False
        wait_until(lambda: thread.failure is None)
        probes = world.probes
        for offset in range(3):
            consumer.puts.put([record(offset)])
        wait_until(lambda: world.told[-1] == "records [2]")
    assert world.probes == probes  # nobody is asked once it is over


def test_a_problem_that_the_probe_does_not_confirm_is_no_outage() -> None:
    world = World()
    with running(world) as thread:
        thread.consumer.puts.put([problem(AWAY)])
        thread.consumer.puts.put([record(0)])
        wait_until(lambda: world.told[-1] == "records [0]")
        assert thread.failure is None


@pytest.mark.parametrize("error", [ValueError("nobody thought of this"), KafkaError(AWAY, "raised by a callback")])
def test_whatever_is_raised_ends_the_thread_and_is_told(error: ValueError | KafkaError) -> None:
    world = World(raises=error)
    with running(world) as thread:
        thread.consumer.puts.put([record(0)])
        wait_until(lambda: bool(world.ended))
    (ended,) = world.ended
    assert ended is not None
    assert words(ended) == (error.str() if isinstance(error, KafkaError) else str(error))


@pytest.mark.parametrize("error", [ValueError("nobody thought of this"), KafkaError(AWAY, "raised by a callback")])
def test_what_a_guarded_callback_raises_does_not_pass_through_the_client_but_ends_the_thread(
    error: ValueError | KafkaError,
) -> None:
    world = World()

    def callback(_consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        raise error  # type: ignore[misc]  # as the client does

    with running(world) as thread:
        guarded: Callable[..., None] = thread.guarded(callback)
        thread.consumer.puts.put([lambda: guarded(None, [])])
        wait_until(lambda: bool(world.ended))
    (ended,) = world.ended
    assert isinstance(ended, ValueError | KafkaException)


def test_while_all_is_paused_errors_are_heard_and_a_record_is_wrong() -> None:
    world = World(is_away=True)
    thread = ConsumerThread(
        "played",
        Played,
        on_records=world.on_records,
        on_problem=world.on_problem,
        probe=world.probe,
        on_end=world.ended.append,
    )
    thread.consumer.puts.put([problem(END, 7)])
    thread.poll_paused()
    assert (world.told, thread.failure) == ([f"problem {END} at 7"], None)
    thread.consumer.puts.put([problem(AWAY)])
    thread.poll_paused()
    assert thread.failure is not None
    thread.consumer.puts.put([record(8)])
    with pytest.raises(UnavailableError, match="a partition that is paused"):
        thread.poll_paused()


def test_a_consumer_that_cannot_be_closed_ends_the_thread_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    raised: list[object] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)

    def refuse() -> None:
        raise KafkaException(KafkaError(AWAY))

    with running(world) as thread:
        thread.consumer.close, close = refuse, thread.consumer.close  # type: ignore[method-assign]  # as a client that is away
        thread.stop()
        close()
    assert (world.ended, raised) == ([None], [])
