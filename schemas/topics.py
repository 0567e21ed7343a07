"""The names of Headrace's Kafka topics, and of the schema registry's subjects.

Invariant: a name says its workspace first, and since neither workspaces nor sources may contain a dot, no two
workspaces or sources ever share a topic.
"""

from typing import Final

DEFINITIONS_TOPIC: Final = "headrace.definitions"
"""One partition, compacted: every applied plan of every workspace."""

SCHEMAS_TOPIC: Final = "headrace.schemas"
"""One partition: every registration of a schema, in the order that decides ids and versions."""


def transform_group(installation: str) -> str:
    """Returns the consumer group of an installation's processors that reads source topics."""
    return f"headrace.{installation}.transform"


def materialize_group(installation: str) -> str:
    """Returns the consumer group of an installation's processors that reads updates topics."""
    return f"headrace.{installation}.materialize"


def source_topic(workspace: str, source: str) -> str:
    """Returns the topic that holds a stream source's records, as producers sent them."""
    return f"{workspace}.source.{source}"


def dead_letter_topic(workspace: str, source: str) -> str:
    """Returns the topic that keeps the records of a source that could not be processed, raw, with the reasons."""
    return f"{workspace}.dead-letter.{source}"


def updates_topic(workspace: str) -> str:
    """Returns the topic that carries the rows of all views of a workspace, partitioned by their keys."""
    return f"{workspace}.updates"


def acks_topic(workspace: str) -> str:
    """Returns the topic on which processors tell waiting ingest processes what became of their records."""
    return f"{workspace}.acks"


def value_subject(topic: str) -> str:
    """Returns the registry subject of a topic's values, named as stock serializers do by default."""
    return f"{topic}-value"


def workspace_of(topic: str) -> str:
    """Returns the workspace of a topic that belongs to one."""
    return topic.partition(".")[0]
