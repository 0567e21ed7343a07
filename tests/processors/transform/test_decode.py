from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, TIMESTAMP_NOT_AVAILABLE

from processors.transform.decode import decode
from schemas.messages.updates import PLAN_HEADER, REPLY_HEADER, ReplyAddress, place_of, plan_header

if TYPE_CHECKING:
    from confluent_kafka import Message

REPLY = ReplyAddress(3, b"request", 5, "here")
HERE = place_of("prod.source.events", 2)


@dataclass
class Given:
    """A message as Kafka's client gives it."""

    sent: list[tuple[str, bytes]]
    kind: int = TIMESTAMP_LOG_APPEND_TIME

    def headers(self) -> list[tuple[str, bytes]]:
        return self.sent

    def topic(self) -> str:
        return "prod.source.events"

    def partition(self) -> int:
        return 2

    def offset(self) -> int:
        return 7

    def timestamp(self) -> tuple[int, int]:
        return self.kind, 1_763_000_000_000

    def value(self) -> bytes:
        return b"record"


def replies(*sent: tuple[str, Any], installation: str = "here") -> list[ReplyAddress | None]:
    records, _ = decode([cast("Message", Given(list(sent)))], installation)
    return [record.reply for record in records]


@pytest.mark.parametrize(
    ("kind", "append_time"),
    [(TIMESTAMP_LOG_APPEND_TIME, 1_763_000_000_000), (TIMESTAMP_CREATE_TIME, 0), (TIMESTAMP_NOT_AVAILABLE, 0)],
)
def test_a_time_that_kafka_did_not_give_decides_nothing(kind: int, append_time: int) -> None:
    (record,), _ = decode([cast("Message", Given([], kind))], "here")
    assert record.append_time == append_time


def test_who_waits_is_known_from_the_header() -> None:
    assert replies((REPLY_HEADER, REPLY.header(HERE))) == [REPLY]


def test_nobody_waits_here_for_the_state_of_another_installation() -> None:
    assert replies((REPLY_HEADER, REPLY.header(HERE)), installation="elsewhere") == [None]


@pytest.mark.parametrize("place", [place_of("prod.source.events", 1), place_of("prod.source.others", 2)])
def test_a_header_that_was_copied_to_another_partition_or_topic_answers_nobody(place: int) -> None:
    assert replies((REPLY_HEADER, REPLY.header(place))) == [None]


def test_the_newest_plan_counts_whoever_sent_it() -> None:
    given = [Given([(PLAN_HEADER, plan_header(number))]) for number in (4, 9, 6)]
    assert decode(cast("list[Message]", given), "here").plan == 9
