"""The thread around a played producer: no broker."""

import queue
import threading

import pytest
from confluent_kafka import KafkaError, KafkaException, Message
from typing_extensions import override

from infra.kafka.errors import words
from infra.kafka.producer_thread import OnDelivery, ProducerThread
from tests.support.waiting import wait_until

ROOM = 3


class Played:
    """A producer that reports the oldest record each time a test lets it."""

    def __init__(self) -> None:
        self.queued: list[tuple[int, OnDelivery]] = []
        self.let: queue.Queue[KafkaError | None] = queue.Queue()

    def __len__(self) -> int:
        return len(self.queued)

    def poll(self, timeout: float, /) -> int:
        try:
            error = self.let.get(timeout=timeout)
        except queue.Empty:
            return 0
        if not self.queued:
            return 0
        _, heard = self.queued.pop(0)
        heard(error, Message())
        return 1

    def produce(
        self,
        _topic: str,
        value: bytes | None,
        _key: bytes | None,
        partition: int,
        *,
        on_delivery: OnDelivery,
        headers: list[tuple[str, str | bytes | None]],
    ) -> None:
        assert headers == [("name", b"header")]
        if len(self.queued) >= ROOM:
            raise BufferError("full")
        if value == b"too large":
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, "too large"))
        self.queued.append((partition, on_delivery))


def send(thread: ProducerThread, heard: OnDelivery, value: bytes = b"", partition: int | None = None) -> bool:
    return thread.produce("t", partition, None, value, [("name", b"header")], heard)


def failed(error: BaseException) -> None:
    pytest.fail(words(error))


def ignore(_error: KafkaError | None, _message: Message) -> None:
    return


def test_reports_come_in_the_thread_and_then_it_is_told_that_they_came() -> None:
    client, told = Played(), list[object]()
    thread = ProducerThread("played", client, failed, lambda: told.append(threading.current_thread().name))
    thread.start()
    assert send(thread, lambda error, _message: told.append(error))
    client.let.put(None)
    wait_until(lambda: None in told)
    thread.stop(0)
    assert told[told.index(None) + 1 :][:1] == ["played"]


def test_a_full_queue_has_no_room_and_what_is_refused_is_raised() -> None:
    client = Played()
    thread = ProducerThread("played", client, failed)
    with pytest.raises(KafkaException, match="too large"):
        send(thread, ignore, b"too large")
    assert [send(thread, ignore, partition=place) for place in (None, 0, 5, 6)] == [True, True, True, False]
    assert [place for place, _ in client.queued] == [-1, 0, 5]
    assert thread.queued() == ROOM


class Asked(Played):
    """Reports a record each time it is asked how many wait."""

    @override
    def __len__(self) -> int:
        self.let.put(None)
        return super().__len__()


def test_a_stop_waits_for_what_is_queued() -> None:
    client, heard = Asked(), list[KafkaError | None]()
    thread = ProducerThread("played", client, failed)
    for _ in range(ROOM):
        send(thread, lambda error, _message: heard.append(error))
    thread.start()
    thread.stop(30)
    assert heard == [None] * ROOM


def test_a_stop_does_not_wait_longer_than_it_may() -> None:
    client = Played()
    thread = ProducerThread("played", client, failed)
    send(thread, ignore)
    thread.start()
    thread.stop(0.05)
    assert thread.queued() == 1


@pytest.mark.parametrize("error", [ValueError("nobody thought of this"), KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)])
def test_a_thread_that_hears_no_more_says_so(error: ValueError | KafkaError) -> None:
    client, ended = Played(), list[BaseException]()
    thread = ProducerThread("played", client, ended.append)

    def refuse(_error: KafkaError | None, _message: Message) -> None:
        raise error  # type: ignore[misc]  # a KafkaError is no exception, and is raised all the same

    send(thread, refuse)
    client.let.put(None)
    thread.start()
    wait_until(lambda: bool(ended))
    thread.stop(0)
    assert words(ended[0]) == (error.str() if isinstance(error, KafkaError) else str(error))
