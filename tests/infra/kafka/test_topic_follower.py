import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from infra.kafka.clients import TopicSpec, admin, ensure_topics, produce_checked, producer
from infra.kafka.topic_follower import OnRecord, TopicFollower
from infra.local_kafka.broker import LocalKafka
from infra.process.ports import LOOPBACK, free_port
from schemas.errors import UnavailableError
from tests.support.waiting import wait_until

Record = tuple[int, bytes, bytes | None]
Follow = Callable[[str, str, OnRecord], TopicFollower]


@pytest.fixture
def follow() -> Iterator[Follow]:
    """Starts followers and stops them at the end."""
    with ExitStack() as running:

        def start(bootstrap: str, topic: str, on_record: OnRecord) -> TopicFollower:
            follower = TopicFollower(bootstrap, topic, on_record)
            follower.start()
            running.callback(follower.stop)
            return follower

        yield start


def collector(into: list[Record]) -> OnRecord:
    return lambda offset, key, value: into.append((offset, key, value))


def test_every_record_is_handed_over_once_in_order_from_the_beginning(
    bootstrap: str, unique: str, follow: Follow
) -> None:
    ensure_topics(bootstrap, [TopicSpec(unique, 1)])
    client = producer(bootstrap)
    for number in range(5_000):
        client.produce(unique, str(number).encode(), b"k")
    assert client.flush(30) == 0
    seen: list[Record] = []
    follower = follow(bootstrap, unique, collector(seen))
    follower.read_to_end(30)
    assert seen == [(number, b"k", str(number).encode()) for number in range(5_000)]
    assert produce_checked(client, unique, None, None) == 5_000
    follower.read_to_end(30)
    assert seen[5_000:] == [(5_000, b"", None)]
    assert follower.failure is None


def test_a_record_can_be_waited_for_by_its_offset(bootstrap: str, unique: str, follow: Follow) -> None:
    ensure_topics(bootstrap, [TopicSpec(unique, 1)])
    seen: list[Record] = []
    follower = follow(bootstrap, unique, collector(seen))
    offset = produce_checked(producer(bootstrap), unique, b"k", b"v")
    follower.wait_read(offset, 30)
    assert seen == [(offset, b"k", b"v")]
    with pytest.raises(
        UnavailableError, match=f"topic {unique} was not read to its end in time: read up to offset 1 of 2"
    ):
        follower.wait_read(offset + 1, 0.1)


def test_a_topic_may_appear_later(bootstrap: str, unique: str, follow: Follow) -> None:
    seen: list[Record] = []
    follower = follow(bootstrap, unique, collector(seen))
    with pytest.raises(UnavailableError, match=unique):
        follower.read_to_end(0.3)
    ensure_topics(bootstrap, [TopicSpec(unique, 1)])
    produce_checked(producer(bootstrap), unique, b"k", b"v")
    follower.read_to_end(30)
    assert seen == [(0, b"k", b"v")]


def test_any_number_of_threads_may_wait_at_once(bootstrap: str, unique: str, follow: Follow) -> None:
    ensure_topics(bootstrap, [TopicSpec(unique, 1)])
    follower = follow(bootstrap, unique, collector([]))
    threads = [threading.Thread(target=follower.read_to_end, args=(30,), daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_callback_that_raises_ends_the_follower_and_every_wait_says_so(
    bootstrap: str, unique: str, follow: Follow
) -> None:
    ensure_topics(bootstrap, [TopicSpec(unique, 1)])
    seen: list[Record] = []

    def refuse(offset: int, key: bytes, value: bytes | None) -> None:
        seen.append((offset, key, value))
        raise ValueError("cannot fold this")

    follower = follow(bootstrap, unique, refuse)
    client = producer(bootstrap)
    produce_checked(client, unique, b"k", b"1")
    produce_checked(client, unique, b"k", b"2")
    with pytest.raises(UnavailableError, match="cannot fold this; restart this process"):
        follower.read_to_end(30)
    with pytest.raises(UnavailableError, match="cannot fold this; restart this process"):
        follower.wait_read(0, 30)
    assert seen == [(0, b"k", b"1")]


@pytest.mark.slow
def test_an_outage_ends_by_itself(kafka: LocalKafka, unique: str, follow: Follow) -> None:
    ensure_topics(kafka.bootstrap, [TopicSpec(unique, 1)])
    seen: list[Record] = []
    follower = follow(kafka.bootstrap, unique, collector(seen))
    client = producer(kafka.bootstrap)
    produce_checked(client, unique, b"k", b"before", timeout_seconds=30)
    follower.read_to_end(30)
    kafka.stop()
    wait_until(lambda: follower.failure is not None)
    with pytest.raises(UnavailableError, match=unique):
        follower.read_to_end(0.3)
    kafka.start()
    wait_until(lambda: follower.failure is None)
    produce_checked(client, unique, b"k", b"after", timeout_seconds=30)
    follower.read_to_end(30)
    assert [value for _, _, value in seen] == [b"before", b"after"]


def test_an_end_told_too_low_after_a_restart_is_no_loss(
    bootstrap: str, unique: str, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_topics(bootstrap, [TopicSpec(unique, 1)])
    seen: list[Record] = []
    follower = follow(bootstrap, unique, collector(seen))
    client = producer(bootstrap)
    follower.wait_read(produce_checked(client, unique, b"k", b"before"), 30)
    with monkeypatch.context() as told:
        told.setattr("infra.kafka.topic_follower.end_offset", lambda *_: 0)
        follower._thread.suspect("all brokers are down")  # noqa: SLF001 - as when librdkafka says so
        wait_until(lambda: follower.failure is None)
    follower.wait_read(produce_checked(client, unique, b"k", b"after"), 30)
    assert [value for _, _, value in seen] == [b"before", b"after"]


def test_a_topic_made_anew_ends_the_follower(bootstrap: str, unique: str, follow: Follow) -> None:
    ensure_topics(bootstrap, [TopicSpec(unique, 1)])
    follower = follow(bootstrap, unique, collector([]))
    follower.wait_read(produce_checked(producer(bootstrap), unique, b"k", b"v"), 30)
    client = admin(bootstrap)
    client.delete_topics([unique])[unique].result(20)
    wait_until(lambda: unique not in client.list_topics(timeout=20).topics)
    ensure_topics(bootstrap, [TopicSpec(unique, 1)])
    wait_until(lambda: "restart this process" in (follower.failure or ""))
    with pytest.raises(UnavailableError, match="does not hold offset 1 any more"):
        follower.read_to_end(30)


def test_without_kafka_a_follower_starts_says_why_it_waits_and_stops(follow: Follow) -> None:
    follower = follow(f"{LOOPBACK}:{free_port()}", "topic", collector([]))
    wait_until(lambda: "refused" in (follower.failure or ""))
    with pytest.raises(UnavailableError, match="topic topic was not read"):
        follower.read_to_end(0.2)
