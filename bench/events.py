"""Clicks for the benchmarks: Avro events of 200 bytes over 100,000 users.

``clicks`` is the simple case: users as popular as Zipf's law says, events in order, each with an identity (user and
timestamp) of its own. ``month_of_clicks`` is what producers do: late, resent and corrected events, and hot users.

Invariant: the same seed gives the same events.
"""

import itertools
import random
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Producer

from schemas.avro.schema import parse
from schemas.avro.wire import frame
from schemas.definitions.plan import Plan
from schemas.instants import DAY, SECOND, instant

EVENT_BYTES: Final = 200  # of a message's value: prefix of 5 bytes and Avro body
USERS: Final = 100_000
SEED: Final = 20_130_101
MERCHANTS: Final = tuple(f"merchant-{number:03d}" for number in range(200))
SOURCE: Final = "clicks"
NOTE: Final = "x" * 128
"""What fills a record that is sent as JSON."""

MONTH_MICROS: Final = 30 * DAY
LATE_SHARE: Final = 0.05
LATEST_MICROS: Final = 3 * DAY  # behind the events around it
RESENT_SHARE: Final = 0.02
CORRECTED_SHARE: Final = 0.01
REMEMBERED: Final = 10_000  # of the newest events, which are resent and corrected
HOT_USERS: Final = USERS // 1_000
HOT_SHARE: Final = 0.5  # of all events, by the hot users

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
        yield _record(chance, rank, time)


def month_of_records(count: int, now: int) -> Iterator[dict[str, Any]]:
    """Yields records whose event times pass through the 30 days before ``now``, with what happens to real ones.

    5 % are late by up to three days, 2 % are sent again and 1 % corrected; one user in a thousand is hot, and these
    make half of all events.

    Args:
        count: how many, those included that are sent again.
        now: µs since the epoch.
    """
    chance = random.Random(SEED)
    newest: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)
    for number in range(count):
        kind = chance.random()
        if newest and kind < RESENT_SHARE + CORRECTED_SHARE:
            record = dict(chance.choice(newest))
            if kind >= RESENT_SHARE:
                record["amount"] = round(chance.uniform(0.5, 500.0), 2)
            yield record
            continue
        time = now - MONTH_MICROS + MONTH_MICROS * number // count
        if kind > 1 - LATE_SHARE:
            time -= chance.randint(SECOND, LATEST_MICROS)
        rank = chance.randrange(HOT_USERS if chance.random() < HOT_SHARE else USERS)
        newest.append(_record(chance, rank, time))
        yield newest[-1]


def _record(chance: random.Random, rank: int, time: int) -> dict[str, Any]:
    return {
        "user_id": user_id(rank),
        "timestamp": instant(time),
        "amount": round(chance.uniform(0.5, 500.0), 2),
        "quantity": chance.randrange(1, 9),
        "merchant": chance.choice(MERCHANTS),
        "note": "",
    }


def clicks(plan: Plan, count: int, times: Sequence[int], users: int = USERS) -> Iterator[Event]:
    """Yields events of exactly ``EVENT_BYTES``, in the Confluent wire format; arguments as for ``records``."""
    return _encoded(plan, records(count, times, users))


def month_of_clicks(plan: Plan, count: int, now: int) -> tuple[list[Event], int]:
    """Returns events of exactly ``EVENT_BYTES``, and how many identities they have; arguments as for their records."""
    sent = list(month_of_records(count, now))
    identities = {(record["user_id"], record["timestamp"]) for record in sent}
    return list(_encoded(plan, sent)), len(identities)


def _encoded(plan: Plan, unframed: Iterable[dict[str, Any]]) -> Iterator[Event]:
    source = plan.sources[SOURCE]
    schema = parse(source.schema)
    for unfilled in unframed:
        record = {**unfilled, "note": ""}
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
