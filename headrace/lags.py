"""Which processors run and how far they are behind, as Kafka knows it: members and lag of their consumer groups.

Invariant: a lag of 0 means that the group's process has said so: it commits an offset only when all before it is done
(docs/design.md §2), so after a lag of 0 every record up to then is in the offline log and in online
state.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from infra.kafka.clients import admin, end_offset
from schemas.definitions.plan import Plan
from schemas.errors import UnavailableError
from schemas.topics import materialize_group, source_topic, transform_group, updates_topic

ANSWER_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Lag:
    """How many records of a topic a group has not finished, and how many the topic ever had, over all partitions."""

    group: str
    topic: str
    records: int
    lag: int


def lags(bootstrap: str, plan: Plan, installation: str) -> list[Lag]:
    """Returns the lag of each topic that an installation's processors read for a workspace.

    Args:
        bootstrap: ``HOST:PORT``, several joined by commas.
        plan: the workspace's definitions.
        installation: whose processors.

    Raises:
        UnavailableError: Kafka does not answer, or a topic is not there.
    """
    sources = {source_topic(plan.workspace, name): s.partitions for name, s in sorted(plan.read_sources().items())}
    client = admin(bootstrap)
    try:
        return [
            *_lags(client, transform_group(installation), sources),
            *_lags(client, materialize_group(installation), {updates_topic(plan.workspace): plan.partitions}),
        ]
    except KafkaException as error:
        text = error.args[0].str()
        raise UnavailableError(f"Kafka at {bootstrap} does not tell its offsets: {text}; check that it runs") from error


def members(bootstrap: str, groups: Sequence[str]) -> dict[str, int]:
    """Returns how many members each consumer group has now; a process that was killed counts until Kafka misses it.

    Raises:
        UnavailableError: Kafka does not answer.
    """
    client = admin(bootstrap)  # held until all have answered: one that goes away with calls under way never returns
    try:
        answers = client.describe_consumer_groups(list(groups), request_timeout=ANSWER_SECONDS)
        return {group: _count(answer.result) for group, answer in answers.items()}
    except KafkaException as error:
        text = error.args[0].str()
        raise UnavailableError(f"Kafka at {bootstrap} does not tell its groups: {text}; check that it runs") from error


def _count(description: Callable[[], Any]) -> int:
    try:
        return len(description().members)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
            return 0
        raise


def _lags(client: AdminClient, group: str, topics: Mapping[str, int]) -> list[Lag]:
    where = [TopicPartition(topic, number) for topic, count in topics.items() for number in range(count)]
    if not where:
        return []
    committed = committed_offsets(client, group, where)
    found = []
    for topic, count in topics.items():
        ends = sum(end_offset(client, topic, number, ANSWER_SECONDS) for number in range(count))
        found.append(Lag(group, topic, ends, ends - sum(committed.get((topic, number), 0) for number in range(count))))
    return found


def committed_offsets(client: AdminClient, group: str, where: Sequence[TopicPartition]) -> dict[tuple[str, int], int]:
    """Returns the offsets that a group has committed; nothing for partitions where it has none.

    Raises:
        KafkaException: Kafka does not answer.
    """
    asked = ConsumerGroupTopicPartitions(group, list(where))
    answer = client.list_consumer_group_offsets([asked], request_timeout=ANSWER_SECONDS)[group].result()
    return {(each.topic, each.partition): each.offset for each in answer.topic_partitions if each.offset >= 0}
