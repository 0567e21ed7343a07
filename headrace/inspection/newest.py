"""The newest records of a topic, read once and in bounded time.

Invariant: nothing is written, no group is joined, and of a partition no more is read than as many records as are asked
for.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from infra.kafka.clients import reader
from infra.kafka.errors import is_end, is_gone, is_lost, words
from schemas.errors import UnavailableError

READ_SECONDS: Final = 5.0
"""How long reading may take; then what has come is what is shown."""

ASK_SECONDS: Final = 10.0
LEADER_SECONDS: Final = 5.0
FETCH_WAIT_MS: Final = 100
BATCH: Final = 500
POLL_SECONDS: Final = 0.1


class StoredRecord(NamedTuple):
    """A record of a topic; ``time`` is Kafka's, in ms since the epoch, and 0 where it has none."""

    partition: int
    offset: int
    time: int
    value: bytes
    headers: Mapping[str, bytes]

    @classmethod
    def of(cls, message: Message) -> "StoredRecord":
        """Returns what a client of Kafka gave."""
        headers = cast("list[tuple[str, bytes | None]]", message.headers() or ())
        return cls(
            message.partition() or 0,
            message.offset() or 0,
            max(0, message.timestamp()[1]),
            message.value() or b"",
            {name: value or b"" for name, value in headers},
        )


@dataclass(frozen=True, slots=True)
class Newest:
    """What a topic holds, and the newest of it.

    Attributes:
        held: how many records Kafka holds, in all partitions.
        records: the newest, oldest first.
        ends: the offset behind the last record of each partition.
    """

    held: int = 0
    records: Sequence[StoredRecord] = ()
    ends: Mapping[int, int] = field(default_factory=dict)


def newest(bootstrap: str, topic: str, count: int, seconds: float = READ_SECONDS) -> Newest:
    """Reads the newest records of a topic; a topic that is not there holds nothing.

    Args:
        bootstrap: ``HOST:PORT``, several joined by commas.
        topic: its name.
        count: how many records at most.
        seconds: how long reading them may take.

    Raises:
        UnavailableError: Kafka does not answer.
    """
    client = reader(bootstrap, fetch_wait_ms=FETCH_WAIT_MS)
    try:
        bounds = {number: _bounds(client, topic, number) for number in partitions(client, topic)}
        held = sum(end - begin for begin, end in bounds.values())
        begins = {number: max(begin, end - count) for number, (begin, end) in bounds.items() if end > begin}
        ends = {number: end for number, (_, end) in bounds.items()}
        found = _read(client, topic, begins, ends, seconds) if count and begins else []
    except KafkaException as error:
        raise UnavailableError(f"Kafka at {bootstrap} does not tell of {topic}: {words(error)}; try again") from error
    finally:
        client.close()
    found.sort(key=lambda record: (record.time, record.partition, record.offset))
    return Newest(held, found[-count:] if count else [], ends)


def time_of(bootstrap: str, topic: str, partition: int, offset: int) -> int:
    """Returns when the record at an offset was written, by Kafka's time in ms; 0 where that is not known.

    Raises:
        UnavailableError: Kafka does not answer.
    """
    client = reader(bootstrap, fetch_wait_ms=FETCH_WAIT_MS)
    try:
        client.list_topics(topic, timeout=ASK_SECONDS)
        found = _read(client, topic, {partition: offset}, {partition: offset + 1}, READ_SECONDS)
    except KafkaException as error:
        raise UnavailableError(f"Kafka at {bootstrap} does not tell of {topic}: {words(error)}; try again") from error
    finally:
        client.close()
    return found[0].time if found else 0


def partitions(client: Consumer, topic: str) -> list[int]:
    """Returns the numbers of a topic's partitions; none where it is not there."""
    described = client.list_topics(topic, timeout=ASK_SECONDS).topics[topic]
    if described.error is not None and not is_gone(described.error):
        raise KafkaException(described.error)
    return sorted(described.partitions)


def _bounds(client: Consumer, topic: str, partition: int) -> tuple[int, int]:
    deadline = time.monotonic() + LEADER_SECONDS
    while True:
        try:
            begin, end = client.get_watermark_offsets(TopicPartition(topic, partition), timeout=ASK_SECONDS)
        except KafkaException as error:
            # A broker may know a moment later than the metadata that it leads a partition.
            if error.args[0].code() < 0 or time.monotonic() > deadline:
                raise
            client.poll(POLL_SECONDS)
            client.list_topics(topic, timeout=ASK_SECONDS)
        else:
            return begin, end


def _read(
    client: Consumer, topic: str, begins: Mapping[int, int], ends: Mapping[int, int], seconds: float
) -> list[StoredRecord]:
    """Reads partitions to the ends that they had, or as far as time allows."""
    deadline = time.monotonic() + seconds
    client.assign([TopicPartition(topic, number, begin) for number, begin in begins.items()])
    left = set(begins)
    found: list[StoredRecord] = []
    while left and time.monotonic() < deadline:
        first = client.poll(POLL_SECONDS)  # consume() alone would wait for a full batch
        for message in [] if first is None else [first, *client.consume(BATCH, 0)]:
            error, partition = message.error(), message.partition()
            if error is not None:
                # What Kafka has deleted meanwhile is no longer to be shown; everything else passes, or time runs out.
                if partition is not None and (is_end(error) or is_lost(error) or is_gone(error)):
                    left.discard(partition)
                continue
            record = StoredRecord.of(message)
            if record.offset < ends[record.partition]:
                found.append(record)
            if record.offset + 1 >= ends[record.partition]:
                left.discard(record.partition)
    return found
