import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import KafkaError, KafkaException

from infra.kafka.clients import TopicSpec, ensure_topics
from infra.process.ports import free_port
from ingest_api.ingestion import publisher as module
from ingest_api.ingestion.publisher import Delivery, Publisher
from schemas.errors import HeadraceError, OverloadedError, UnavailableError
from schemas.messages.updates import ReplyAddress, plan_header
from tests.support.waiting import wait_until

FATAL = -150  # as rdkafka.h has it
PLAN = plan_header(1)


@contextmanager
def publishing(bootstrap: str, timeout_seconds: float = 10.0) -> Iterator[tuple[Publisher, list[Delivery]]]:
    heard: list[Delivery] = []
    publisher = Publisher(bootstrap, heard.extend, pytest.fail, timeout_seconds)
    publisher.start()
    try:
        yield publisher, heard
    finally:
        publisher.stop()


def sender(publisher: Publisher, topic: str, *, report_success: bool) -> Callable[[int], None]:
    def send(index: int) -> None:
        publisher.publish(topic, 0, b"x", ReplyAddress(0, b"r", index, "here"), PLAN, report_success=report_success)

    return send


def test_success_is_reported_if_asked_for(bootstrap: str, unique: str) -> None:
    ensure_topics(bootstrap, [TopicSpec(unique, 1)])
    with publishing(bootstrap) as (publisher, heard):
        sender(publisher, unique, report_success=False)(0)
        sender(publisher, unique, report_success=True)(1)
        wait_until(lambda: bool(heard))
    assert heard == [Delivery(b"r", 1, None)]


def test_failure_is_always_reported(bootstrap: str, unique: str) -> None:
    with publishing(bootstrap, timeout_seconds=0.5) as (publisher, heard):
        sender(publisher, unique, report_success=False)(0)
        wait_until(lambda: bool(heard))
    (delivery,) = heard
    assert delivery.failure is not None
    assert delivery.failure.startswith("Kafka did not confirm the record: ")


def test_stop_waits_for_what_is_queued(bootstrap: str, unique: str) -> None:
    ensure_topics(bootstrap, [TopicSpec(unique, 1)])
    with publishing(bootstrap) as (publisher, heard):
        sender(publisher, unique, report_success=True)(0)
        wait_until(lambda: bool(heard))  # a broker that has just started takes nothing for a while
        for index in range(1, 100):
            sender(publisher, unique, report_success=True)(index)
    assert [delivery.index for delivery in heard] == list(range(100))


def test_queue_is_bounded_before_anything_of_a_request_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_QUEUED_RECORDS", 100)  # the client counts a few events of its own, too
    with publishing(f"127.0.0.1:{free_port()}", timeout_seconds=0.5) as (publisher, heard):
        publisher.room_for(80)
        for index in range(80):
            sender(publisher, "t", report_success=False)(index)
        with pytest.raises(OverloadedError):
            publisher.room_for(21)
        wait_until(lambda: len(heard) == 80)
        publisher.room_for(80)


class BrokenProducer:
    """What librdkafka becomes after a fatal error; it cannot be brought about from outside."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def produce(self, *_arguments: object, **_options: object) -> None:
        raise self._error

    def poll(self, _seconds: float) -> None:
        return None

    def __len__(self) -> int:
        return 0


@pytest.mark.parametrize(
    ("error", "raised", "is_fatal"),
    [
        (BufferError("full"), OverloadedError, False),
        (KafkaException(KafkaError(FATAL)), UnavailableError, True),
        (KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)), UnavailableError, False),
    ],
)
def test_what_kafka_clients_raise_is_translated_and_the_fatal_is_reported(
    error: Exception, raised: type[HeadraceError], is_fatal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "producer", lambda *_arguments, **_options: BrokenProducer(error))
    fatal: list[str] = []
    heard: list[Delivery] = []
    publisher = Publisher("unused:1", heard.extend, fatal.append, 1.0)
    with pytest.raises(raised):
        sender(publisher, "t", report_success=False)(0)
    assert bool(fatal) is is_fatal


def test_stop_does_not_wait_for_a_kafka_that_is_away() -> None:
    with publishing(f"127.0.0.1:{free_port()}", timeout_seconds=60) as (publisher, _):
        sender(publisher, "t", report_success=False)(0)
        stopping = threading.Thread(target=publisher.stop)
        stopping.start()
        stopping.join(10)
        assert not stopping.is_alive()
