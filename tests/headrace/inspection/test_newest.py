import pytest

from headrace.inspection.newest import StoredRecord, newest, time_of
from infra.kafka.clients import TopicSpec, ensure_topics, producer
from infra.process.ports import LOOPBACK, free_port
from schemas.errors import UnavailableError


@pytest.fixture
def topic(bootstrap: str, unique: str) -> str:
    ensure_topics(bootstrap, [TopicSpec(unique, 3)])
    return unique


def write(bootstrap: str, topic: str, *values: tuple[int, str]) -> None:
    """Writes values to partitions, each a ms after the one before."""
    client = producer(bootstrap)
    for at, (partition, text) in enumerate(values, 1_000):
        client.produce(topic, text, partition=partition, timestamp=at, headers=[("h", text.encode()), ("empty", None)])
    assert client.flush(10) == 0


def test_the_newest_come_of_all_partitions_in_the_order_of_kafkas_time(bootstrap: str, topic: str) -> None:
    write(bootstrap, topic, (0, "a"), (1, "b"), (0, "c"), (2, "d"), (1, "e"))
    found = newest(bootstrap, topic, 3)
    assert found.held == 5
    assert found.ends == {0: 2, 1: 2, 2: 1}
    assert list(found.records) == [
        StoredRecord(0, 1, 1_002, b"c", {"h": b"c", "empty": b""}),
        StoredRecord(2, 0, 1_003, b"d", {"h": b"d", "empty": b""}),
        StoredRecord(1, 1, 1_004, b"e", {"h": b"e", "empty": b""}),
    ]


def test_fewer_than_asked_for_are_all_of_them(bootstrap: str, topic: str) -> None:
    write(bootstrap, topic, (2, "a"))
    assert [record.value for record in newest(bootstrap, topic, 10).records] == [b"a"]


def test_none_asked_for_are_only_counted(bootstrap: str, topic: str) -> None:
    write(bootstrap, topic, (2, "a"))
    assert (newest(bootstrap, topic, 0).held, list(newest(bootstrap, topic, 0).records)) == (1, [])


def test_a_topic_without_records_and_one_that_is_not_there_hold_nothing(bootstrap: str, topic: str) -> None:
    assert newest(bootstrap, topic, 5).held == 0
    missing = newest(bootstrap, f"{topic}-not-there", 5)
    assert (missing.held, list(missing.records), dict(missing.ends)) == (0, [], {})


def test_the_time_of_a_record_is_kafkas_and_0_of_one_that_is_not_there(bootstrap: str, topic: str) -> None:
    write(bootstrap, topic, (1, "a"), (1, "b"))
    assert time_of(bootstrap, topic, 1, 1) == 1_001
    assert time_of(bootstrap, topic, 1, 7) == 0


def test_kafka_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.inspection.newest.ASK_SECONDS", 0.2)
    with pytest.raises(UnavailableError, match=r"does not tell of events: .*; try again"):
        newest(f"{LOOPBACK}:{free_port()}", "events", 1)
    with pytest.raises(UnavailableError, match=r"does not tell of events: .*; try again"):
        time_of(f"{LOOPBACK}:{free_port()}", "events", 0, 1)
