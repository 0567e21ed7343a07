import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, Message, TopicPartition

from infra.kafka.clients import TopicSpec, admin, ensure_topics, produce_checked, producer
from infra.process.ports import free_port
from ingest_api.ingestion.ack_consumer import AckConsumer
from schemas.messages.updates import Ack, Transformed, encode_acks
from schemas.topics import acks_topic
from tests.support.waiting import wait_until


def ack(name: str) -> Transformed:
    return Transformed(name.encode(), 0, [], [])


def send(bootstrap: str, workspace: str, partition: int, *names: str) -> None:
    value = encode_acks([ack(name) for name in names])
    produce_checked(producer(bootstrap), acks_topic(workspace), None, value, partition=partition)


@contextmanager
def reading(bootstrap: str, seed: int = 1) -> Iterator[tuple[AckConsumer, list[Ack]]]:
    heard: list[Ack] = []
    reader = AckConsumer(bootstrap, heard.extend, pytest.fail, random.Random(seed))
    reader.start()
    try:
        yield reader, heard
    finally:
        reader.stop()


def partition_of(reader: AckConsumer, workspace: str) -> int:
    wait_until(lambda: reader.partition_of(workspace) is not None)
    partition = reader.partition_of(workspace)
    assert partition is not None
    return partition


def test_reads_from_the_end_that_the_partition_had_when_it_was_named(bootstrap: str, unique: str) -> None:
    ensure_topics(bootstrap, [TopicSpec(acks_topic(unique), 1)])
    send(bootstrap, unique, 0, "before")
    with reading(bootstrap) as (reader, heard):
        reader.follow((unique,))
        assert partition_of(reader, unique) == 0
        send(bootstrap, unique, 0, "a", "b")
        wait_until(lambda: len(heard) == 2)
        assert heard == [ack("a"), ack("b")]


def test_workspace_whose_topic_comes_later_is_read_once_it_is_there(bootstrap: str, unique: str) -> None:
    with reading(bootstrap) as (reader, heard):
        first, second = f"{unique}a", f"{unique}b"
        reader.follow((first,))
        ensure_topics(bootstrap, [TopicSpec(acks_topic(second), 4), TopicSpec(acks_topic(first), 4)])
        reader.follow((first, second))
        for workspace in (first, second):
            send(bootstrap, workspace, partition_of(reader, workspace), workspace)
        wait_until(lambda: len(heard) == 2)
        assert reader.failure is None


def test_partitions_that_somebody_added_are_not_chosen(bootstrap: str, unique: str) -> None:
    ensure_topics(bootstrap, [TopicSpec(acks_topic(unique), 64)])
    for seed in range(3):
        with reading(bootstrap, seed) as (reader, _):
            reader.follow((unique,))
            assert partition_of(reader, unique) < 8  # processors answer there and nowhere else


def test_processes_choose_partitions_at_random(bootstrap: str, unique: str) -> None:
    ensure_topics(bootstrap, [TopicSpec(acks_topic(unique), 8)])
    chosen = set()
    for seed in range(4):
        with reading(bootstrap, seed) as (reader, _):
            reader.follow((unique,))
            chosen.add(partition_of(reader, unique))
    assert len(chosen) > 1


def test_topic_that_is_made_anew_is_read_again(bootstrap: str, unique: str) -> None:
    spec = TopicSpec(acks_topic(unique), 1)
    ensure_topics(bootstrap, [spec])
    client, writer = admin(bootstrap), producer(bootstrap)
    with reading(bootstrap) as (reader, heard):
        for _ in range(200):
            writer.produce(spec.name, encode_acks([ack("before")]))
        assert writer.flush(10) == 0
        reader.follow((unique,))
        partition_of(reader, unique)
        for future in client.delete_topics([spec.name]).values():
            future.result(10)
        wait_until(lambda: spec.name not in client.list_topics(timeout=5).topics)
        ensure_topics(bootstrap, [spec])

        def answers_come_again() -> bool:
            produce_checked(writer, spec.name, None, encode_acks([ack("after")]))
            return bool(heard)

        wait_until(answers_come_again, 60)
        assert ack("before") not in heard


def test_kafka_that_is_away_is_named_and_does_not_end_the_reader() -> None:
    with reading(f"127.0.0.1:{free_port()}") as (reader, _):
        reader.follow(("prod",))
        wait_until(lambda: reader.failure is not None)
        assert reader.partition_of("prod") is None


class Played:
    """A consumer without a broker, that knows one partition of every topic and remembers what was asked of it."""

    def __init__(self, *messages: Message) -> None:
        self.messages = list(messages)
        self.asked: list[str] = []
        self._comes = threading.Event()

    def list_topics(self, topic: str, timeout: float) -> SimpleNamespace:
        assert timeout > 0
        self.asked.append(f"list {topic}")
        return SimpleNamespace(topics={topic: SimpleNamespace(partitions={0: None})})

    def get_watermark_offsets(self, _at: TopicPartition, timeout: float) -> tuple[int, int]:
        assert timeout > 0
        return 0, 5

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        self.asked += [f"assign {at.topic}[{at.partition}]@{at.offset}" for at in partitions]

    def incremental_unassign(self, partitions: list[TopicPartition]) -> None:
        self.asked += [f"unassign {at.topic}[{at.partition}]" for at in partitions]

    def poll(self, timeout: float) -> Message | None:
        if self.messages and any(each.startswith("assign") for each in self.asked):
            return self.messages.pop(0)
        self._comes.wait(timeout)
        return None

    def consume(self, _count: int, _timeout: float) -> list[Message]:
        return []

    def close(self) -> None:
        self.asked.append("close")


def test_what_is_assigned_is_known_before_and_what_is_lost_is_assigned_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    topic = acks_topic("prod")
    lost = Message(topic=topic, partition=0, offset=5, error=KafkaError(KafkaError.OFFSET_OUT_OF_RANGE))
    made: list[Played] = []

    def played(*_arguments: object, **_options: object) -> Played:
        made.append(Played(lost))
        return made[-1]

    monkeypatch.setattr("ingest_api.ingestion.ack_consumer.reader", played)
    with reading("unused:1") as (reader, heard):
        reader.follow(("prod",))
        wait_until(lambda: any(each.asked.count(f"assign {topic}[0]@5") == 2 for each in made))
    reads = next(each.asked for each in made if f"assign {topic}[0]@5" in each.asked)
    positioned = [f"list {topic}", f"assign {topic}[0]@5"]
    assert (reads, heard) == ([*positioned, f"unassign {topic}[0]", *positioned, "close"], [])
    assert [each.asked[-1] for each in made] == ["close", "close"]
