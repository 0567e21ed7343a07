"""A plan's stream sources, ready to take records: validators and encoders compiled once per plan.

Invariant: what `Source.encode` returns decodes under the schema that the source's plan names.
"""

from typing import Final

from schemas.avro.schema import parse
from schemas.avro.wire import frame
from schemas.definitions.plan import Plan, SourcePlan, ViewPlan
from schemas.errors import RECORD_TOO_LARGE, RecordError
from schemas.limits import MAX_SOURCE_RECORD_BYTES
from schemas.messages.updates import plan_header
from schemas.records.validate import compile_validator
from schemas.topics import source_topic

_OFFSET_SIGNS: Final = frozenset("+-")
_TIME_BEGINS: Final = len("2024-01-15T")


class Source:
    """One stream source of one plan.

    Args:
        workspace: its workspace.
        plan: the source.
        views: the views that it feeds, by key.
    """

    def __init__(self, workspace: str, plan: SourcePlan, views: tuple[ViewPlan, ...]) -> None:
        self.workspace: Final = workspace
        self.name: Final = plan.name
        self.topic: Final = source_topic(workspace, plan.name)
        self.partitions: Final = plan.partitions
        self.columns: Final = plan.columns
        self.fields: Final = tuple(column.name for column in plan.columns)
        self.log_offline: Final = plan.log_offline
        self.views: Final = tuple(sorted(views, key=lambda view: (view.name, view.version)))
        self.timestamp_field: Final = plan.timestamp_field
        self.view_ids: Final = frozenset(view.id for view in views)
        self._validate = compile_validator(plan)
        self._schema = parse(plan.schema)
        self._schema_id = plan.schema_id

    def encode(self, record: object) -> bytes:
        """Returns a decoded JSON record in the Confluent wire format.

        Raises:
            RecordError: it does not fit the source, or is too large in Avro.
        """
        value = frame(self._schema_id, self._schema, self._validate(record))
        if len(value) > MAX_SOURCE_RECORD_BYTES:
            raise RecordError(
                RECORD_TOO_LARGE,
                f"Record has {len(value)} bytes in Avro, at most {MAX_SOURCE_RECORD_BYTES} are accepted",
            )
        return value

    def lacks_zone(self, record: object) -> bool:
        """Returns whether the event time of a valid record names no zone, and so was taken as UTC."""
        text: str = record[self.timestamp_field]  # type: ignore[index]  # valid: an object with a text there
        return text[-1] not in "zZ" and not _OFFSET_SIGNS.intersection(text[_TIME_BEGINS:])


class Sources:
    """The sources of a workspace, as of one plan; none before the first plan."""

    def __init__(self, workspace: str, plan: Plan | None) -> None:
        self.workspace: Final = workspace
        self.plan: Final = plan
        self.number: Final = -1 if plan is None else plan.number
        self.header: Final = b"" if plan is None else plan_header(plan.number)
        sources = () if plan is None else plan.sources.values()
        self.by_name: Final = {
            source.name: Source(workspace, source, plan.views_of(source.name)) for source in sources if plan
        }
