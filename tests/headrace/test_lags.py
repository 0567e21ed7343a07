from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import OFFSET_INVALID, ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition

from headrace import lags as module
from headrace.lags import Lag, lags, members
from schemas.errors import UnavailableError
from tests.support.repositories import plan_of, view

PLAN = plan_of(view())
SOURCE, UPDATES = "prod.source.events", "prod.updates"
TRANSFORM, MATERIALIZE = "headrace.h1.transform", "headrace.h1.materialize"


class Kafka:
    """Group offsets, ends of partitions and members, as an admin client tells them."""

    def __init__(self) -> None:
        self.committed: dict[tuple[str, str, int], int] = {}
        self.ends: dict[tuple[str, int], int] = {}
        self.groups: dict[str, int | KafkaException] = {}
        self.asked: list[str] = []
        self.failure: KafkaException | None = None

    def list_consumer_group_offsets(
        self, requests: Sequence[ConsumerGroupTopicPartitions], request_timeout: float
    ) -> Mapping[str, "Future[ConsumerGroupTopicPartitions]"]:
        assert request_timeout <= 10
        (request,) = requests
        group = request.group_id
        self.asked.append(group)
        future: Future[ConsumerGroupTopicPartitions] = Future()
        if self.failure is not None:
            future.set_exception(self.failure)
            return {group: future}
        found = [
            TopicPartition(
                each.topic, each.partition, self.committed.get((group, each.topic, each.partition), OFFSET_INVALID)
            )
            for each in request.topic_partitions or []
        ]
        future.set_result(ConsumerGroupTopicPartitions(group, found))
        return {group: future}

    def end_offset(self, client: object, topic: str, partition: int, seconds: float) -> int:
        assert client is self
        assert seconds <= 10
        return self.ends.get((topic, partition), 0)

    def describe_consumer_groups(self, groups: list[str], request_timeout: float) -> Mapping[str, Any]:
        assert request_timeout <= 10
        return {group: SimpleNamespace(result=self._described(self.groups[group])) for group in groups}

    def _described(self, found: int | KafkaException) -> Callable[[], Any]:
        def result() -> Any:
            if isinstance(found, KafkaException):
                raise found
            return SimpleNamespace(members=[object()] * found)

        return result


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    made = Kafka()
    monkeypatch.setattr(module, "admin", lambda _bootstrap: made)
    monkeypatch.setattr(module, "end_offset", made.end_offset)
    return made


def test_lag_is_what_the_group_has_not_committed_over_all_partitions(cluster: Kafka) -> None:
    cluster.ends = {(SOURCE, 0): 10, (SOURCE, 1): 5, (UPDATES, 3): 7}
    cluster.committed = {(TRANSFORM, SOURCE, 0): 9, (TRANSFORM, SOURCE, 1): 3, (MATERIALIZE, UPDATES, 3): 7}
    assert lags("kafka:9092", PLAN, "h1") == [Lag(TRANSFORM, SOURCE, 15, 3), Lag(MATERIALIZE, UPDATES, 7, 0)]


def test_what_a_group_never_committed_is_all_lag(cluster: Kafka) -> None:
    cluster.ends = {(SOURCE, 0): 10, (UPDATES, 0): 2}
    cluster.committed = {(TRANSFORM, SOURCE, 1): 0, ("headrace.h2.transform", SOURCE, 0): 10}
    assert [each.lag for each in lags("kafka:9092", PLAN, "h1")] == [10, 2]


def test_a_plan_that_reads_no_source_asks_nothing_of_the_stage_that_would(cluster: Kafka) -> None:
    assert [each.topic for each in lags("kafka:9092", plan_of({"empty.py": ""}), "h1")] == [UPDATES]
    assert cluster.asked == [MATERIALIZE]


def test_offsets_that_cannot_be_told_name_kafka(cluster: Kafka) -> None:
    cluster.failure = KafkaException(KafkaError(KafkaError._TRANSPORT))  # noqa: SLF001 - its public name
    with pytest.raises(
        UnavailableError, match=r"Kafka at kafka:9092 does not tell its offsets: .*; check that it runs"
    ):
        lags("kafka:9092", PLAN, "h1")


def test_members_are_counted_and_a_group_that_never_was_has_none(cluster: Kafka) -> None:
    cluster.groups = {"a": 2, "b": 0, "c": KafkaException(KafkaError(KafkaError.GROUP_ID_NOT_FOUND))}
    assert members("kafka:9092", ["a", "b", "c"]) == {"a": 2, "b": 0, "c": 0}


def test_groups_that_cannot_be_told_name_kafka(cluster: Kafka) -> None:
    cluster.groups = {"a": KafkaException(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))}
    with pytest.raises(UnavailableError, match="Kafka at kafka:9092 does not tell its groups: "):
        members("kafka:9092", ["a"])
