"""Producers as they are in the world: late, resent and corrected events, and retries after time-outs.

Invariant: whatever was confirmed to a producer is in ``acked``; what lies in Kafka is asked of Kafka (``in_kafka``), so
that nothing here has to know what became of a request that got no answer.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple

import httpx
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaError, Message, Producer, TopicPartition

from schemas.avro import schema as avro
from schemas.avro import wire
from schemas.definitions.plan import SourcePlan

USERS = tuple(f"user{number}" for number in range(40))
LATE = timedelta(days=2)
TOO_LATE = timedelta(days=60)  # past every horizon of the test's views
REMEMBERED = 2_000
REQUEST_SECONDS = 2.0  # short, so that calls time out while processes are away
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Event(NamedTuple):
    """What a producer sends; each new amount is another one, so that a correction can be told from what it corrects."""

    user: str
    at: datetime
    amount: int


class Stored(NamedTuple):
    """A record as it lies in the source topic, with what makes its version: ``append_time`` in ms."""

    append_time: int
    partition: int
    offset: int
    event: Event


def micros(at: datetime) -> int:
    """Returns µs since the epoch."""
    return (at - EPOCH) // timedelta(microseconds=1)


@dataclass
class Traffic:
    """Events to send, drawn by a seed, and those that were confirmed; for any thread."""

    seed: int
    acked: set[Event] = field(default_factory=set)
    confirmations: int = 0

    def __post_init__(self) -> None:
        self._random = Random(self.seed)
        self._lock = threading.Lock()
        self._serial = 0
        self._base = datetime.now(UTC) - timedelta(hours=1)
        self._sent: deque[Event] = deque(maxlen=REMEMBERED)

    def next(self) -> Event:
        """Returns a new event (most), a late one, or one sent before: the same, or corrected."""
        with self._lock:
            self._serial += 1
            kind = self._random.random()
            if kind < 0.2 and self._sent:
                earlier = self._random.choice(self._sent)
                event = earlier if kind < 0.1 else earlier._replace(amount=self._serial)
            else:
                lateness = LATE if kind < 0.3 else TOO_LATE if kind < 0.32 else timedelta()
                at = self._base - lateness + timedelta(microseconds=self._serial)
                event = Event(self._random.choice(USERS), at, self._serial)
            self._sent.append(event)
            return event

    def confirm(self, *events: Event) -> None:
        """Notes that events are stored, as their producer was told."""
        with self._lock:
            self.acked.update(events)
            self.confirmations += len(events)


def post(ingest: str, headers: dict[str, str], traffic: Traffic, stop: threading.Event) -> None:
    """Posts batches over HTTP; sends each again until all its records are acked, as clients are told to."""
    with httpx.Client(headers=headers, timeout=REQUEST_SECONDS) as client:
        while not stop.is_set():
            events = [traffic.next() for _ in range(5)]
            records = [{"user": e.user, "at": e.at.isoformat(), "amount": e.amount} for e in events]
            while not stop.is_set():
                try:
                    answer = client.post(f"{ingest}/api/v1/ingest", json={"records": {"events": records}})
                except httpx.HTTPError:
                    continue
                assert answer.status_code in {200, 207, 429, 503}, answer.text
                if answer.status_code == 200:
                    traffic.confirm(*events)
                    break


def produce(bootstrap: str, topic: str, source: SourcePlan, traffic: Traffic, stop: threading.Event) -> None:
    """Writes Avro straight to Kafka; a record counts as acked once Kafka has confirmed it."""
    schema = avro.parse(source.schema)
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "log_level": 0})

    def confirmed(event: Event) -> Callable[[KafkaError | None, Message], None]:
        return lambda error, _message: traffic.confirm(event) if error is None else None

    while not stop.is_set():
        for _ in range(5):
            event = traffic.next()
            value = wire.frame(source.schema_id, schema, event._asdict())
            producer.produce(topic, value, on_delivery=confirmed(event))
        producer.poll(0.02)
    assert producer.flush(60) == 0


def in_kafka(bootstrap: str, topic: str, source: SourcePlan) -> list[Stored]:
    """Reads all of a source topic, by no code of Headrace's."""
    schema = avro.parse(source.schema)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "auditor", "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(source.partitions)])
    stored, ended = [], set[int]()
    while len(ended) < source.partitions:
        message = consumer.poll(30)
        assert message is not None, f"{topic} cannot be read"
        if error := message.error():
            assert error.code() == KafkaError._PARTITION_EOF, error.str()  # noqa: SLF001 - its public name
            ended.add(message.partition() or 0)
            continue
        kind, append_time = message.timestamp()
        assert kind == TIMESTAMP_LOG_APPEND_TIME
        event = Event(**wire.unframe(message.value() or b"", schema, None))
        stored.append(Stored(append_time, message.partition() or 0, message.offset() or 0, event))
    consumer.close()
    return stored
