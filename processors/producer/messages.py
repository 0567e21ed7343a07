"""What the processors send, before anything is sent: updates, answers and dead letters as plain values.

Invariant: each value is a function of its arguments alone, and none of them outgrows what Kafka takes.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from schemas.definitions.plan import RetiredView
from schemas.definitions.plan_codec import encode_ended, ended_key
from schemas.limits import MAX_PROBLEM_CHARACTERS
from schemas.messages.updates import Ack, encode_acks
from schemas.records.transform import Reject
from schemas.topics import DEFINITIONS_TOPIC, acks_topic, dead_letter_topic, updates_topic

MAX_ACKS_BYTES: Final = 256 * 1024  # of one message of answers; failures carry text

MAX_MESSAGES_CHARACTERS: Final = 64 * 1024  # of all problems of one dead letter: there may be many views

DEAD_LETTER_SOURCE: Final = "headrace-source"
DEAD_LETTER_PARTITION: Final = "headrace-partition"
DEAD_LETTER_OFFSET: Final = "headrace-offset"
DEAD_LETTER_APPEND_TIME: Final = "headrace-append-time"
DEAD_LETTER_VIEW: Final = "headrace-view"
DEAD_LETTER_CODE: Final = "headrace-code"
DEAD_LETTER_MESSAGE: Final = "headrace-message"


class OutMessage(NamedTuple):
    """One message to produce; without a partition the producer's partitioner chooses."""

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


def update_messages(workspace: str, updates: Sequence[tuple[int, bytes]]) -> list[OutMessage]:
    """Returns the messages of (updates partition, encoded update)."""
    topic = updates_topic(workspace)
    return [OutMessage(topic, partition, None, value, []) for partition, value in updates]


def ack_messages(workspace: str, acks: Mapping[int, Sequence[Ack]]) -> list[OutMessage]:
    """Returns the messages of answers by reply partition: one for each, or as many as their size asks for."""
    topic = acks_topic(workspace)
    return [
        OutMessage(topic, partition, None, value, [])
        for partition in sorted(acks)
        for value in _encoded(list(acks[partition]))
    ]


def ended_messages(workspace: str, ended: Sequence[RetiredView]) -> list[OutMessage]:
    """Returns the messages that tell every process that retired views have ended."""
    keys = [ended_key(workspace, retired.view.id) for retired in ended]
    return [
        OutMessage(DEFINITIONS_TOPIC, 0, key, encode_ended(retired), [])
        for key, retired in zip(keys, ended, strict=True)
    ]


def _encoded(acks: list[Ack]) -> Iterator[bytes]:
    value = encode_acks(acks)
    if len(value) <= MAX_ACKS_BYTES or len(acks) == 1:
        yield value
        return
    middle = len(acks) // 2
    yield from _encoded(acks[:middle])
    yield from _encoded(acks[middle:])


def dead_letter(workspace: str, source: str, reject: Reject) -> OutMessage:
    """Returns the message that keeps a rejected record: its bytes as they came, and why in the headers (UTF-8 text).

    ``headrace-append-time`` is in ms since the epoch. Where several views failed, ``headrace-view`` and
    ``headrace-code`` have one of each for every view, separated by commas, and ``headrace-message`` one line, all in
    the same order. ``headrace-view`` is empty where no view could see the record.
    """
    record, problems = reject
    limit = min(MAX_PROBLEM_CHARACTERS, MAX_MESSAGES_CHARACTERS // len(problems))
    headers = {
        DEAD_LETTER_SOURCE: source,
        DEAD_LETTER_PARTITION: str(record.partition),
        DEAD_LETTER_OFFSET: str(record.offset),
        DEAD_LETTER_APPEND_TIME: str(record.append_time),
        DEAD_LETTER_VIEW: ",".join(problem.view for problem in problems),
        DEAD_LETTER_CODE: ",".join(problem.code for problem in problems),
        DEAD_LETTER_MESSAGE: "\n".join(" ".join(problem.message.splitlines())[:limit] for problem in problems),
    }
    encoded = [(name, text.encode()) for name, text in headers.items()]
    return OutMessage(dead_letter_topic(workspace, source), None, None, record.value, encoded)
