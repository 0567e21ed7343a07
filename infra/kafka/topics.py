"""Which topics exist, and how Kafka keeps them: one table.

How long records are kept, and how many partitions a topic has grown to, are the operator's (decision 15): given when a
topic is created, taken as found from then on.

Invariant: what decides a winner carries Kafka's own time (``LogAppendTime``), never a producer's; an offset of the
control topics, which is an id, is on disk before anyone is told of it, so none is given out twice.
"""

from typing import Final

from infra.kafka.clients import TopicSpec
from schemas.definitions.plan import Plan
from schemas.limits import MAX_MESSAGE_BYTES, MAX_SOURCE_RECORD_BYTES
from schemas.topics import (
    DEFINITIONS_TOPIC,
    SCHEMAS_TOPIC,
    acks_topic,
    dead_letter_topic,
    source_topic,
    updates_topic,
)

_DAY_MS: Final = 24 * 60 * 60 * 1000

ACKS_PARTITIONS: Final = 8  # ingest processes share them when there are more

_LARGE: Final = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}
_CONTROL: Final = _LARGE | {"cleanup.policy": "compact", "flush.messages": "1"}
_STREAM: Final = {"cleanup.policy": "delete"}  # compaction would refuse our records, which have no keys
_SOURCE: Final = _STREAM | {
    "message.timestamp.type": "LogAppendTime",
    "max.message.bytes": str(MAX_SOURCE_RECORD_BYTES + 64 * 1024),
}
_UPDATES: Final = _STREAM | _LARGE | {"message.timestamp.type": "LogAppendTime"}
_DEAD_LETTERS: Final = _STREAM | _LARGE


def _kept(milliseconds: int) -> dict[str, str]:
    return {"retention.ms": str(milliseconds)}


def control_topics(replication: int) -> list[TopicSpec]:
    """Returns the topics that every process needs before anything is applied."""
    return [TopicSpec(name, 1, _CONTROL, replication) for name in (DEFINITIONS_TOPIC, SCHEMAS_TOPIC)]


def workspace_topics(plan: Plan, replication: int) -> list[TopicSpec]:
    """Returns the topics of one workspace."""
    workspace = plan.workspace
    updates, acks = updates_topic(workspace), acks_topic(workspace)
    week, month, hour = _kept(7 * _DAY_MS), _kept(30 * _DAY_MS), _kept(_DAY_MS // 24)
    specs = [
        TopicSpec(updates, plan.partitions, _UPDATES, replication, fewest=plan.partitions, initial=week),
        TopicSpec(acks, ACKS_PARTITIONS, _STREAM, replication, fewest=ACKS_PARTITIONS, initial=hour),
    ]
    for source in plan.read_sources().values():
        records, letters = source_topic(workspace, source.name), dead_letter_topic(workspace, source.name)
        specs.append(TopicSpec(records, source.partitions, _SOURCE, replication, initial=week))
        specs.append(TopicSpec(letters, 1, _DEAD_LETTERS, replication, initial=month))
    return specs
