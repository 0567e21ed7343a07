"""Clicks for the benchmarks: Avro events of 200 bytes over 100,000 users, as popular as Zipf's law says.

Invariant: the same seed gives the same events, and no two of one sequence share an identity (user and timestamp).
"""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Producer

from schemas.avro import frame, parse
from schemas.plan import Plan
from schemas.rows import instant

EVENT_BYTES: Final = 200  # of a message's value: prefix of 5 bytes and Avro body
USERS: Final = 100_000
SEED: Final = 20_130_101
MERCHANTS: Final = tuple(f"merchant-{number:03d}" for number in range(200))
SOURCE: Final = "clicks"
NOTE: Final = "x" * 128
"""What fills a record that is sent as JSON."""

QUEUED_MESSAGES: Final = 200_000
FLUSH_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Event:
    """One message of a source topic: Kafka key and value."""

    key: bytes
    value: bytes


def user_id(rank: int) -> str:
    """Returns the user with a rank in popularity, from 0."""
    return f"user-{rank:08d}"


def records(count: int, times: Sequence[int], users: int = USERS) -> Iterator[dict[str, Any]]:
    """Yields records of the source.

    Args:
        count: how many.
        times: event times in µs since the epoch; at least ``count``.
        users: how many different users there are; the n-th is seen 1/n as often as the first.
    """
    chance = random.Random(SEED)
    weights = list(itertools.accumulate(1 / rank for rank in range(1, users + 1)))
    ranks = chance.choices(range(users), cum_weights=weights, k=count)
    for rank, time in zip(ranks, times, strict=False):
        yield {
            "user_id": user_id(rank),
            "timestamp": instant(time),
            "amount": round(chance.uniform(0.5, 500.0), 2),
            "quantity": chance.randrange(1, 9),
            "merchant": chance.choice(MERCHANTS),
            "note": "",
        }


def clicks(plan: Plan, count: int, times: Sequence[int], users: int = USERS) -> Iterator[Event]:
    """Yields events of exactly ``EVENT_BYTES``, in the Confluent wire format; arguments as for ``records``."""
    source = plan.sources[SOURCE]
    schema = parse(source.schema)
    for record in records(count, times, users):
        bare = len(frame(source.schema_id, schema, record))
        # A string of 64 characters or more has a length of two bytes, one more than an empty one.
        record["note"] = "x" * (EVENT_BYTES - bare - 1)
        yield Event(record["user_id"].encode(), frame(source.schema_id, schema, record))


def produce(bootstrap: str, topic: str, events: Sequence[Event]) -> None:
    """Writes events to a topic as any producer would: partitioned by key, with all acknowledgements.

    Raises:
        AssertionError: Kafka did not take all of them.
    """
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "linger.ms": 20,
            "queue.buffering.max.messages": QUEUED_MESSAGES,
        }
    )
    for event in events:
        while True:
            try:
                producer.produce(topic, event.value, event.key)
            except BufferError:
                producer.poll(0.1)
            else:
                break
    assert producer.flush(FLUSH_SECONDS) == 0, "Kafka did not take all events"
