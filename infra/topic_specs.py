"""Which topics exist, and how Kafka keeps them: one table.

Invariant: what decides a winner carries Kafka's own time (``LogAppendTime``), never a producer's.
"""

from typing import Final

from infra.kafka_clients import TopicSpec
from schemas.plan import Plan
from schemas.topics import (
    DEFINITIONS_TOPIC,
    SCHEMAS_TOPIC,
    acks_topic,
    dead_letter_topic,
    source_topic,
    updates_topic,
)

_DAY_MS: Final = 24 * 60 * 60 * 1000
_LARGE_MESSAGE_BYTES: Final = 8 * 1024 * 1024

ACKS_PARTITIONS: Final = 8  # ingest processes share them when there are more
MAX_RECORD_BYTES: Final = 1024 * 1024  # of one source record

_COMPACTED: Final = {"cleanup.policy": "compact", "max.message.bytes": str(_LARGE_MESSAGE_BYTES)}
_STAMPED: Final = {"message.timestamp.type": "LogAppendTime", "retention.ms": str(7 * _DAY_MS)}
_SOURCE: Final = _STAMPED | {"max.message.bytes": str(MAX_RECORD_BYTES + 64 * 1024)}
_UPDATES: Final = _STAMPED | {"max.message.bytes": str(_LARGE_MESSAGE_BYTES)}
_ACKS: Final = {"retention.ms": str(60 * 60 * 1000)}
_DEAD_LETTERS: Final = {"retention.ms": str(30 * _DAY_MS), "max.message.bytes": str(_LARGE_MESSAGE_BYTES)}


def control_topics(replication: int) -> list[TopicSpec]:
    """Return the topics that every process needs before anything is applied."""
    return [TopicSpec(name, 1, _COMPACTED, replication) for name in (DEFINITIONS_TOPIC, SCHEMAS_TOPIC)]


def workspace_topics(plan: Plan, replication: int) -> list[TopicSpec]:
    """Return the topics of one workspace."""
    workspace = plan.workspace
    specs = [
        TopicSpec(updates_topic(workspace), plan.partitions, _UPDATES, replication),
        TopicSpec(acks_topic(workspace), ACKS_PARTITIONS, _ACKS, replication),
    ]
    for source in plan.sources.values():
        specs.append(TopicSpec(source_topic(workspace, source.name), source.partitions, _SOURCE, replication))
        specs.append(TopicSpec(dead_letter_topic(workspace, source.name), 1, _DEAD_LETTERS, replication))
    return specs
