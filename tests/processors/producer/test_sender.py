import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import Producer

from infra.kafka.clients import TopicSpec, ensure_topics, producer
from infra.process.ports import LOOPBACK, free_port
from processors.producer import sender as sender_module
from processors.producer.messages import OutMessage
from processors.producer.sender import DeliveryProducer
from schemas.errors import UnavailableError
from tests.support.site import everything
from tests.support.waiting import wait_until


@contextmanager
def started(client: Producer, failures: list[BaseException]) -> Iterator[DeliveryProducer]:
    deliveries = DeliveryProducer(client, failures.append)
    deliveries.start()
    yield deliveries
    deliveries.stop()


def message(topic: str, value: bytes, partition: int | None = None) -> OutMessage:
    return OutMessage(topic, partition, b"key", value, [("name", b"header")])


def test_done_is_called_once_all_is_in_kafka(bootstrap: str, unique: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure_topics(bootstrap, [TopicSpec(unique, 2)])
    failures: list[BaseException] = []
    done = threading.Semaphore(0)
    with started(producer(bootstrap), failures) as deliveries:
        asyncio.run(deliveries.send([message(unique, b"a", 0), message(unique, b"b", 1)], done.release))
        assert done.acquire(timeout=30)
        monkeypatch.setattr(sender_module, "LATE_SECONDS", 1e-9)
        assert deliveries.problem is None  # nothing is waited for any more, however patiently
        found = [each for partition in range(2) for each in everything(bootstrap, unique, partition)]
    assert [(each.key(), each.value(), each.headers()) for each in found] == [
        (b"key", b"a", [("name", b"header")]),
        (b"key", b"b", [("name", b"header")]),
    ]
    assert (failures, done.acquire(blocking=False)) == ([], False)


def test_nothing_to_send_is_done_at_once() -> None:
    done: list[bool] = []
    with started(producer(f"{LOOPBACK}:{free_port()}"), []) as deliveries:
        asyncio.run(deliveries.send([], lambda: done.append(True)))
    assert done == [True]


def test_what_kafka_does_not_take_fails_and_is_never_done() -> None:
    failures: list[BaseException] = []
    done: list[bool] = []
    away = producer(f"{LOOPBACK}:{free_port()}", delivery_timeout_seconds=0.2)
    with started(away, failures) as deliveries:
        asyncio.run(deliveries.send([message("topic", b"a")], lambda: done.append(True)))
        wait_until(lambda: bool(failures))
    assert isinstance(failures[0], UnavailableError)
    assert "Kafka did not take a message for topic" in str(failures[0])
    assert done == []


def test_messages_wait_for_a_kafka_that_is_away_and_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, "LATE_SECONDS", 0.2)
    away = producer(f"{LOOPBACK}:{free_port()}", delivery_timeout_seconds=None)
    failures: list[BaseException] = []
    with started(away, failures) as deliveries:
        assert deliveries.problem is None
        asyncio.run(deliveries.send([message("topic", b"a")], lambda: None))
        wait_until(lambda: "not confirmed" in (deliveries.problem or ""))
    assert failures == []


def test_a_message_that_the_producer_refuses_is_told() -> None:
    with (
        started(producer(f"{LOOPBACK}:{free_port()}"), []) as deliveries,
        pytest.raises(UnavailableError, match=r"did not take a message for topic: .*large"),
    ):
        asyncio.run(deliveries.send([message("topic", b"x" * 9 * 1024 * 1024)], lambda: None))


def test_a_full_queue_lets_others_run_until_there_is_room() -> None:
    away = producer(f"{LOOPBACK}:{free_port()}", delivery_timeout_seconds=1.0, max_queued_messages=2)
    failures: list[BaseException] = []

    async def send(deliveries: DeliveryProducer) -> int:
        turns = 0
        sending = asyncio.create_task(deliveries.send([message("topic", b"x")] * 5, lambda: None))
        while not sending.done():
            turns += 1
            await asyncio.sleep(0)
        return turns

    with started(away, failures) as deliveries:
        assert asyncio.run(send(deliveries)) > 1
    assert failures
