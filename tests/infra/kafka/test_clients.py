import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka import KafkaError, TopicPartition
from confluent_kafka.admin import ConfigResource, ResourceType  # type: ignore[attr-defined]  # it re-exports these

from infra.kafka.clients import (
    REPEAT_SECONDS,
    RepeatFilter,
    TopicSpec,
    admin,
    end_offset,
    ensure_topics,
    partition_counts,
    produce_checked,
    producer,
    reader,
    warm,
)
from infra.process.ports import LOOPBACK, free_port
from schemas.errors import SettingsError, UnavailableError
from schemas.limits import MAX_MESSAGE_BYTES
from tests.support.waiting import wait_until


@pytest.fixture
def nowhere() -> str:
    """An address where no Kafka is."""
    return f"{LOOPBACK}:{free_port()}"


def config_of(bootstrap: str, topic: str, name: str) -> str | None:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    client = admin(bootstrap)  # must live until it has answered
    value: str | None = client.describe_configs([resource])[resource].result(20)[name].value
    return value


def test_topics_are_created_once_however_many_ask_at_once(bootstrap: str, unique: str) -> None:
    specs = [TopicSpec(f"{unique}.{name}", 2, {"cleanup.policy": "compact"}) for name in "ab"]
    with ThreadPoolExecutor(4) as threads:
        for outcome in [threads.submit(ensure_topics, bootstrap, specs) for _ in range(4)]:
            outcome.result()
    topics = admin(bootstrap).list_topics(timeout=20).topics
    assert [len(topics[spec.name].partitions) for spec in specs] == [2, 2]
    assert config_of(bootstrap, specs[0].name, "cleanup.policy") == "compact"


def test_config_that_headrace_needs_is_restored_and_the_rest_left_alone(bootstrap: str, unique: str) -> None:
    given = {"message.timestamp.type": "CreateTime"}
    ensure_topics(bootstrap, [TopicSpec(unique, 1, given, initial={"retention.ms": "1000"})])
    ensure_topics(
        bootstrap, [TopicSpec(unique, 1, {"message.timestamp.type": "LogAppendTime"}, initial={"retention.ms": "2000"})]
    )
    wait_until(lambda: config_of(bootstrap, unique, "message.timestamp.type") == "LogAppendTime")
    assert config_of(bootstrap, unique, "retention.ms") == "1000"


def test_a_topic_with_too_few_partitions_is_refused_and_one_with_more_is_taken(bootstrap: str, unique: str) -> None:
    ensure_topics(bootstrap, [TopicSpec(unique, 2)])
    ensure_topics(bootstrap, [TopicSpec(unique, 1, fewest=1)])
    assert partition_counts(bootstrap)[unique] == 2
    with pytest.raises(SettingsError, match=f"topic '{unique}' has 2 partitions, expected at least 3; add partitions"):
        ensure_topics(bootstrap, [TopicSpec(unique, 3, fewest=3)])


def test_what_kafka_refuses_is_told_as_a_setting(bootstrap: str, unique: str) -> None:
    with pytest.raises(SettingsError, match=f"prepare topics {unique}.*refused.*replication"):
        ensure_topics(bootstrap, [TopicSpec(unique, 1, replication=99)])


def test_without_kafka_topics_and_offsets_are_unavailable_within_the_deadline(nowhere: str) -> None:
    with pytest.raises(UnavailableError, match=f"{nowhere}.*check that Kafka runs"):
        ensure_topics(nowhere, [TopicSpec("topic", 1)], timeout_seconds=0.5)
    with pytest.raises(UnavailableError, match=f"list topics: {nowhere}"):
        partition_counts(nowhere, timeout_seconds=0.5)
    with pytest.raises(UnavailableError, match="end of topic"):
        end_offset(admin(nowhere), "topic", 0, timeout_seconds=0.5)
    with pytest.raises(UnavailableError, match="describe topic"):
        warm(producer(nowhere), "topic", timeout_seconds=0.5)


def test_a_checked_record_is_at_its_offset_with_all_it_carried(bootstrap: str, unique: str) -> None:
    ensure_topics(bootstrap, [TopicSpec(unique, 2)])
    client = producer(bootstrap)
    warm(client, unique)
    offsets = [
        produce_checked(client, unique, b"k", value, partition=1, headers=[("h", b"1"), ("h", b"2")])
        for value in (b"v", None)
    ]
    assert offsets == [0, 1]
    assert end_offset(admin(bootstrap), unique, 1, 20) == 2
    consumer = reader(bootstrap)
    consumer.assign([TopicPartition(unique, 1, 0)])
    first, second, end = consumer.consume(3, 20)
    consumer.close()
    assert (first.key(), first.value(), first.headers()) == (b"k", b"v", [("h", b"1"), ("h", b"2")])
    assert second.value() is None
    error = end.error()
    assert error is not None
    assert error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001 - its public name


def test_keys_go_where_javas_clients_put_them(bootstrap: str, unique: str) -> None:
    ensure_topics(bootstrap, [TopicSpec(unique, 100)])
    client = producer(bootstrap)
    warm(client, unique)
    produce_checked(client, unique, b"21", b"")
    # Kafka's UtilsTest: murmur2("21") = -973932308; its sign bit is cleared, then the remainder is taken.
    assert end_offset(admin(bootstrap), unique, (-973932308 & 0x7FFFFFFF) % 100, 20) == 1


def test_an_undelivered_record_is_an_error_never_an_offset(nowhere: str) -> None:
    with pytest.raises(UnavailableError, match=r"write to topic: .*try again"):
        produce_checked(producer(nowhere, delivery_timeout_seconds=0.2), "topic", None, b"", timeout_seconds=20)
    with pytest.raises(UnavailableError, match=r"not confirmed it in 0.1 s"):
        produce_checked(producer(nowhere), "topic", None, b"", timeout_seconds=0.1)


def test_a_full_queue_and_a_too_large_record_are_errors_at_once(nowhere: str) -> None:
    full = producer(nowhere, max_queued_messages=1)
    full.produce("topic", b"")
    with pytest.raises(UnavailableError, match="queue is full"):
        produce_checked(full, "topic", None, b"")
    with pytest.raises(SettingsError, match=r"write to topic.*too large"):
        produce_checked(producer(nowhere), "topic", None, bytes(MAX_MESSAGE_BYTES))


def test_a_client_logs_through_logging(
    nowhere: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("headrace.kafka"), "filters", [])
    for name in (None, "headrace.kafka"):
        caplog.set_level(logging.DEBUG, name)  # whatever a test before has made of the logs of this process
    client = producer(nowhere)

    def said() -> bool:
        client.poll(0.05)
        return any("Connection refused" in line for line in caplog.messages)

    wait_until(said)


def test_a_line_that_differs_in_numbers_only_is_logged_once_in_a_while() -> None:
    def line(text: str, seconds: float) -> logging.LogRecord:
        return logging.makeLogRecord({"msg": text, "created": seconds})

    lines = RepeatFilter()
    assert lines.filter(line("client 1: refused after 0 ms", 0))
    assert not lines.filter(line("client 23: refused after 45 ms", REPEAT_SECONDS - 1))
    assert lines.filter(line("client 1: timed out", REPEAT_SECONDS - 1))
    assert lines.filter(line("client 4: refused after 0 ms", REPEAT_SECONDS))
