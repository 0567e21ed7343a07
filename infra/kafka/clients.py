"""Kafka clients with the settings that correctness depends on, and the two calls that everybody gets wrong alone.

Invariant: a record that `produce_checked` returns for is in Kafka, on all in-sync replicas, once; a key goes to the
partition that Java's clients would choose.

librdkafka logs through the logger ``headrace.kafka`` (whenever a client is polled), never straight to stderr. Its
defaults that would hurt are set here once: no idempotence, CRC32 partitions, 5 minutes until a lost record shows
(rule KA-1), and up to 10 seconds between attempts to reconnect.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it re-exports these without saying so
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ListOffsetsResultInfo,
    OffsetSpec,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic

from schemas.errors import SettingsError, UnavailableError
from schemas.limits import MAX_MESSAGE_BYTES

Headers = Sequence[tuple[str, bytes]]

ADMIN_TIMEOUT_SECONDS: Final = 20.0
RECONNECT_BACKOFF_MS: Final = 100
RECONNECT_BACKOFF_MAX_MS: Final = 1_000
FETCH_WAIT_MS: Final = 500
REPEAT_SECONDS: Final = 30.0
"""How long a line that a client has logged is not logged again, by any client."""

_POLL_SECONDS: Final = 0.01
_METADATA_PAUSE_SECONDS: Final = 0.05
_MAX_REMEMBERED_LINES: Final = 1_000
_PRODUCER_ID_SECONDS: Final = 0.1

_log = logging.getLogger("headrace.kafka")


class RepeatFilter(logging.Filter):
    """Drops a line that differs from an earlier one in numbers only: clients repeat themselves while Kafka is away."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tells whether the line is new."""
        text = re.sub(r"\d+", "", record.getMessage())
        with self._lock:
            self._last = {said: at for said, at in self._last.items() if record.created - at < REPEAT_SECONDS}
            if text in self._last or len(self._last) >= _MAX_REMEMBERED_LINES:
                return False
            self._last[text] = record.created
            return True


_log.addFilter(RepeatFilter())


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic that Headrace needs. Once it is there it is its operator's, but for what correctness depends on.

    Attributes:
        name: its name.
        partitions: how many it is created with.
        config: the entries that correctness depends on; restored where somebody changed them.
        replication: copies of each partition, used when it is created.
        fewest: with how many partitions it can be used; more never hurt.
        initial: entries that it is created with and that are never touched again, such as how long records are kept.
    """

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)
    replication: int = 1
    fewest: int = 1
    initial: Mapping[str, str] = field(default_factory=dict)


def _common(bootstrap: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": bootstrap,
        "client.id": "headrace",
        "reconnect.backoff.ms": RECONNECT_BACKOFF_MS,
        "reconnect.backoff.max.ms": RECONNECT_BACKOFF_MAX_MS,
    }


def producer(
    bootstrap: str,
    *,
    linger_ms: float = 1.0,
    delivery_timeout_seconds: float | None = 30.0,
    max_queued_messages: int = 100_000,
    max_queued_kib: int = 65_536,
) -> Producer:
    """Returns an idempotent producer; it connects in the background, so this returns at once even if Kafka is down.

    Args:
        bootstrap: ``HOST:PORT``, several joined by commas.
        linger_ms: how long a record may wait for company.
        delivery_timeout_seconds: after this a record that Kafka has not confirmed is reported as failed; None tries for
            ever.
        max_queued_messages: bound of the local queue; beyond it ``produce`` raises ``BufferError``.
        max_queued_kib: the same bound in KiB.
    """
    config = {
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "linger.ms": linger_ms,
        "message.max.bytes": MAX_MESSAGE_BYTES,
        "message.timeout.ms": round((delivery_timeout_seconds or 0) * 1000),  # 0 is for ever
        "queue.buffering.max.messages": max_queued_messages,
        "queue.buffering.max.kbytes": max_queued_kib,
    }
    return Producer(_common(bootstrap) | config, logger=_log)


def reader(
    bootstrap: str, on_error: Callable[[KafkaError], None] | None = None, *, fetch_wait_ms: int = FETCH_WAIT_MS
) -> Consumer:
    """Returns a consumer for ``assign``: it belongs to no group, commits nothing, and reports the ends of partitions.

    An offset that Kafka does not hold is an error (``_AUTO_OFFSET_RESET``), never a silent jump. One thread alone may
    use it: ``get_watermark_offsets`` hangs for good while another thread polls (confluent-kafka 2.16).

    Args:
        bootstrap: ``HOST:PORT``, several joined by commas.
        on_error: told, inside ``poll`` and ``consume``, what is wrong with the connections; must not raise. Without
            it that is logged only.
        fetch_wait_ms: how long Kafka may keep a fetch while there is nothing new. A further partition, and every
            question on that connection, waits as long.
    """
    config = {
        "group.id": "headrace-reader",  # required by the library; without a subscription no group is joined
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "fetch.wait.max.ms": fetch_wait_ms,
    }
    callbacks = {} if on_error is None else {"error_cb": on_error}
    return Consumer(_common(bootstrap) | config | callbacks, logger=_log)


def admin(bootstrap: str) -> AdminClient:
    """Returns an admin client; any thread may use it. It logs nothing, as nobody polls it: its calls raise instead."""
    return AdminClient(_common(bootstrap) | {"log_level": 0})


def end_offset(client: AdminClient, topic: str, partition: int, timeout_seconds: float) -> int:
    """Returns the offset behind the last record of a partition that can be read: before a transaction that is open.

    Raises:
        UnavailableError: Kafka does not answer in time, or does not know the partition (yet).
    """
    deadline = time.monotonic() + timeout_seconds
    try:
        try:
            return _end_offset(client, topic, partition, deadline)
        except KafkaException:
            # After a broker's restart the client goes on with the old leader epoch until it is made to look again.
            client.list_topics(topic, timeout=_left(deadline))
            return _end_offset(client, topic, partition, deadline)
    except TimeoutError as error:
        raise UnavailableError(f"Kafka has not told the end of {topic} in {timeout_seconds:g} s; try again") from error
    except KafkaException as error:
        reason = error.args[0].str()
        raise UnavailableError(f"Kafka cannot tell the end of {topic}: {reason}; try again") from error


def _end_offset(client: AdminClient, topic: str, partition: int, deadline: float) -> int:
    at = TopicPartition(topic, partition)
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the library left it bare
    committed = IsolationLevel.READ_COMMITTED
    asked = client.list_offsets({at: latest}, isolation_level=committed, request_timeout=_left(deadline))
    found: ListOffsetsResultInfo = asked[at].result(_left(deadline))
    return found.offset


def ensure_topics(bootstrap: str, specs: Sequence[TopicSpec], timeout_seconds: float = ADMIN_TIMEOUT_SECONDS) -> None:
    """Creates the topics that are missing, restores the config of the others, and waits until all can be written to.

    Any number of processes may call this at once; calling it again changes nothing.

    Raises:
        SettingsError: a topic exists with too few partitions, or Kafka refuses a spec.
        UnavailableError: Kafka did not do it in time; what was done stays and is found by the next call.
    """
    deadline = time.monotonic() + timeout_seconds
    doing = "prepare topics " + ", ".join(spec.name for spec in specs)
    client = admin(bootstrap)
    try:
        missing = _create(client, specs, deadline)
        present = _wait_for(client, [spec.name for spec in specs], deadline)
        for spec in specs:
            if present[spec.name] < spec.fewest:
                raise SettingsError(
                    f"topic {spec.name!r} has {present[spec.name]} partitions, expected at least {spec.fewest}; add "
                    "partitions with Kafka's tools (records stay where they are), or delete the topic if its records "
                    "are not needed"
                )
        _restore_config(client, [spec for spec in specs if spec.config and spec.name not in missing], deadline)
    except TimeoutError as error:
        raise UnavailableError(f"cannot {doing}: {bootstrap} did not answer in {timeout_seconds:g} s") from error
    except KafkaException as error:
        raise _explained(error, bootstrap, doing) from error


def partition_counts(bootstrap: str, timeout_seconds: float = ADMIN_TIMEOUT_SECONDS) -> dict[str, int]:
    """Returns how many partitions each topic has.

    Raises:
        UnavailableError: Kafka does not answer.
    """
    try:
        topics = admin(bootstrap).list_topics(timeout=timeout_seconds).topics
    except KafkaException as error:
        raise _explained(error, bootstrap, "list topics") from error
    return {name: len(topic.partitions) for name, topic in topics.items()}


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), _POLL_SECONDS)


def _wait_for(client: AdminClient, names: Sequence[str], deadline: float) -> dict[str, int]:
    """Waits until each of these topics has a leader for all its partitions; returns how many partitions each has."""
    while True:
        topics = client.list_topics(timeout=_left(deadline)).topics
        present = {
            name: len(topics[name].partitions)
            for name in names
            if name in topics and all(partition.leader >= 0 for partition in topics[name].partitions.values())
        }
        absent = [name for name in names if not present.get(name)]
        if not absent:
            return present
        if time.monotonic() > deadline:
            raise UnavailableError(f"Kafka has no leaders yet for topics {', '.join(absent)}; try again")
        time.sleep(_METADATA_PAUSE_SECONDS)


def _create(client: AdminClient, specs: Sequence[TopicSpec], deadline: float) -> frozenset[str]:
    """Creates what is not there; returns the names of what this call created."""
    known = client.list_topics(timeout=_left(deadline)).topics
    topics = [
        NewTopic(spec.name, spec.partitions, spec.replication, config={**spec.initial, **spec.config})
        for spec in specs
        if spec.name not in known
    ]
    created = set()
    for name, future in client.create_topics(topics).items() if topics else ():
        try:
            future.result(_left(deadline))
            created.add(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    return frozenset(created)


def _restore_config(client: AdminClient, specs: Sequence[TopicSpec], deadline: float) -> None:
    if not specs:
        return
    resources = {spec.name: ConfigResource(ResourceType.TOPIC, spec.name) for spec in specs}
    found = client.describe_configs(list(resources.values()))
    changed = []
    for spec in specs:
        entries = found[resources[spec.name]].result(_left(deadline))
        wanted = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            for name, value in spec.config.items()
            if name not in entries or entries[name].value != value
        ]
        if wanted:
            changed.append(ConfigResource(ResourceType.TOPIC, spec.name, incremental_configs=wanted))
    if changed:
        for future in client.incremental_alter_configs(changed).values():
            future.result(_left(deadline))


def warm(client: Producer, topic: str, timeout_seconds: float = 5.0) -> None:
    """Makes a new producer ready for its first record: connected, ``topic``'s leaders known, producer id at hand.

    A cold first record took 510 ms each time (librdkafka asks for a producer id at once, finds no broker connected yet,
    and tries again 500 ms later); after this call, of about 0.15 s, it took 3 to 6 ms (Apache Kafka 4.1 on loopback).
    Nothing is written. Just after a broker's very first start its coordinator is still loading and the first record can
    take a second all the same.

    Raises:
        UnavailableError: Kafka does not answer.
    """
    try:
        client.list_topics(topic, timeout=timeout_seconds)
    except KafkaException as error:
        raise _explained(error, "the brokers", f"describe topic {topic}") from error
    deadline = time.monotonic() + _PRODUCER_ID_SECONDS
    while (remaining := deadline - time.monotonic()) > 0:
        client.poll(remaining)


def produce_checked(
    client: Producer,
    topic: str,
    key: bytes | None,
    value: bytes | None,
    *,
    partition: int = -1,
    headers: Headers = (),
    timeout_seconds: float = 10.0,
) -> int:
    """Writes one record, waits until Kafka has it, and returns its offset. For control messages, not for streams.

    Args:
        client: from `producer`; other threads may use it meanwhile.
        topic: where to.
        key: the record's key.
        value: the record's value; None deletes the key in a compacted topic.
        partition: the partition, or -1 to choose it by the key.
        headers: the record's headers.
        timeout_seconds: how long to wait.

    Raises:
        UnavailableError: Kafka refused it or has not confirmed it in time. In the latter case it may still be written.
    """
    outcome: list[tuple[KafkaError | None, int | None]] = []

    def delivered(failure: KafkaError | None, message: Message) -> None:
        outcome.append((failure, message.offset()))

    doing = f"write to {topic}"
    try:
        client.produce(topic, value, key, partition, on_delivery=delivered, headers=list(headers))
    except BufferError as error:
        raise UnavailableError(f"cannot {doing}: the producer's queue is full; try again") from error
    except KafkaException as error:
        raise _explained(error, "the brokers", doing) from error
    deadline = time.monotonic() + timeout_seconds
    while not outcome:
        if time.monotonic() > deadline:
            raise UnavailableError(f"cannot {doing}: Kafka has not confirmed it in {timeout_seconds:g} s; try again")
        client.poll(_POLL_SECONDS)
    failure, offset = outcome[0]
    if failure is not None or offset is None:
        raise UnavailableError(f"cannot {doing}: {failure}; check that Kafka runs, and try again")
    return offset


def _explained(error: KafkaException, bootstrap: str, doing: str) -> SettingsError | UnavailableError:
    """Tells what asking again can mend (the network, a broker's state: local or retriable) from what it cannot."""
    reason: KafkaError = error.args[0]
    if reason.code() < 0 or reason.retriable():
        return UnavailableError(f"cannot {doing}: {bootstrap}: {reason.str()}; check that Kafka runs, and try again")
    return SettingsError(
        f"cannot {doing}: {bootstrap} refused: {reason.str()}; change the settings or ask its operator"
    )
