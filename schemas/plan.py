"""The compiled form of a feature repository: all that running processes need, as data.

Invariant: a plan is complete. Whoever holds one needs no other file to transform, store or serve, and two processes
with the same plan number run the same definitions.

A plan is one JSON message in the compacted topic of definitions, keyed by workspace; its number is its offset. Each
view has a message of its own, never compacted away, whose offset is the view's id: rows in flight and in old log
segments keep their meaning after the view is gone.
"""

from typing import Any

import msgspec

from schemas.aggregation.functions import FUNCTIONS
from schemas.aggregation.partials import PartialKind
from schemas.errors import CodecError
from schemas.types import DataType, Field, Timestamp, avro_record, parse_wire_type, wire_type

PLAN_FORMAT = 1


class Column(msgspec.Struct, frozen=True, array_like=True):
    """A named, typed value; ``dtype`` in the form of ``schemas.types.wire_type``."""

    name: str
    dtype: dict[str, Any]
    required: bool

    @classmethod
    def of(cls, field: Field) -> "Column":
        """Returns the column of a field."""
        return cls(field.name, wire_type(field.dtype), field.required)

    def field(self) -> Field:
        """Returns the field of the column."""
        return Field(self.name, parse_wire_type(self.dtype), self.required)


class SourcePlan(msgspec.Struct, frozen=True):
    """A stream source.

    ``schema`` is the Avro text registered for it under ``schema_id``.
    """

    name: str
    columns: tuple[Column, ...]
    timestamp_field: str
    log_offline: bool
    schema: str
    schema_id: int
    partitions: int


class PartialPlan(msgspec.Struct, frozen=True, array_like=True):
    """One partial of a view's tiles: the aggregate that asked for it says how it is computed."""

    key: str  # of the kind, unique per column
    column: str
    function: str
    n: int | None


class FeaturePlan(msgspec.Struct, frozen=True):
    """One served feature; aggregates only have a function, a window and partials. Durations in µs."""

    name: str
    dtype: dict[str, Any]
    column: str
    function: str | None = None
    n: int | None = None
    window: int = 0
    offset: int = 0
    partials: tuple[int, ...] = ()  # indices into the view's partials

    def data_type(self) -> DataType:
        """Returns the feature's type."""
        return parse_wire_type(self.dtype)


class ViewPlan(msgspec.Struct, frozen=True):
    """A stream feature view.

    ``columns`` are what a row holds, in order: join keys, event time, then the rest. Durations in µs. ``horizon`` is
    None for attribute views, which keep the newest row however old it is. ``interval`` is the width of a tiled view's
    tiles, 0 for continuous and attribute views; ``resolutions`` is empty for attribute views.
    """

    id: int
    name: str
    version: str
    source: str
    join_keys: tuple[str, ...]
    timestamp_field: str
    columns: tuple[Column, ...]
    features: tuple[FeaturePlan, ...]
    partials: tuple[PartialPlan, ...]
    resolutions: tuple[int, ...]
    interval: int
    horizon: int | None
    grace: int
    ttl: int | None
    online: bool
    offline: bool
    code: str  # schemas.code.code_digest of its function

    @property
    def key(self) -> str:
        """Returns how plans name the view: two versions of one view live side by side."""
        return f"{self.name}@{self.version}"

    @property
    def is_aggregate(self) -> bool:
        """Whether features are aggregates; else the view serves its newest row."""
        return bool(self.partials)

    def row_schema(self) -> dict[str, Any]:
        """Returns the Avro record schema of the view's rows in the offline log."""
        name = f"{self.name}__{self.version}".translate(_AVRO_NAME)
        fields = tuple(
            Field(column.name, Timestamp, required=True) if column.name == self.timestamp_field else column.field()
            for column in self.columns
        )
        return avro_record(f"{name}__{self.id}", fields)


_AVRO_NAME = str.maketrans({".": "_", "-": "_"})


class ServicePlan(msgspec.Struct, frozen=True):
    """A feature service: the keys (``name@version``) of its views."""

    name: str
    views: tuple[str, ...]
    online_serving_enabled: bool = True


class Plan(msgspec.Struct, frozen=True):
    """All definitions of one workspace.

    ``number`` is the offset of the message and so is -1 while it is written. ``files`` are the repository's texts by
    relative path; ``digest`` is their SHA-256.
    """

    workspace: str
    partitions: int
    sources: dict[str, SourcePlan]
    views: dict[str, ViewPlan]
    services: dict[str, ServicePlan]
    files: dict[str, str]
    digest: str
    format: int = PLAN_FORMAT
    number: int = -1

    def views_of(self, source: str) -> tuple[ViewPlan, ...]:
        """Returns the views that a source feeds, by key."""
        return tuple(self.views[key] for key in sorted(self.views) if self.views[key].source == source)


_JSON = msgspec.json.Encoder(order="deterministic")
_PLAN = msgspec.json.Decoder(Plan)
_VIEW = msgspec.json.Decoder(ViewPlan)


def plan_key(workspace: str) -> bytes:
    """Returns the key of a workspace's plan in the topic of definitions."""
    return f"plan/{workspace}".encode()


def view_key(workspace: str, name: str, version: str, nonce: str) -> bytes:
    """Returns the key of a view's own message; the nonce keeps it from ever being compacted away."""
    return f"view/{workspace}/{name}/{version}/{nonce}".encode()


def encode(document: Plan | ViewPlan) -> bytes:
    """Returns the message of a plan or of a view."""
    return _JSON.encode(document)


def decode_plan(number: int, data: bytes) -> Plan:
    """Returns the plan in a message.

    Args:
        number: the message's offset.
        data: its value.

    Raises:
        CodecError: it is not a plan, or of a format that this version does not know.
    """
    try:
        plan = _PLAN.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CodecError(f"plan {number} does not decode: {error}") from error
    if plan.format != PLAN_FORMAT:
        raise CodecError(f"plan {number} has format {plan.format}, expected {PLAN_FORMAT}; upgrade Headrace")
    return msgspec.structs.replace(plan, number=number)


def decode_view(offset: int, data: bytes) -> ViewPlan:
    """Returns the view in a message; its id is the message's offset.

    Raises:
        CodecError: it is not a view.
    """
    try:
        return msgspec.structs.replace(_VIEW.decode(data), id=offset)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CodecError(f"view message {offset} does not decode: {error}") from error


class Definitions:
    """What the topic of definitions says so far: the newest plan of each workspace, and every view there ever was.

    A fold: ``apply`` is called for each message in order, from any one thread; the attributes may be read from any.
    """

    def __init__(self) -> None:
        self.plans: dict[str, Plan] = {}
        self.views: dict[int, ViewPlan] = {}
        self.workspace_of: dict[int, str] = {}

    def apply(self, offset: int, key: bytes, value: bytes | None) -> None:
        """Takes one message of the topic.

        Raises:
            CodecError: the message is not one of Headrace's.
        """
        kind, _, rest = key.decode(errors="replace").partition("/")
        if value is None:
            self.plans.pop(rest, None)
        elif kind == "plan":
            self.plans[rest] = decode_plan(offset, value)
        elif kind == "view":
            self.views[offset] = decode_view(offset, value)
            self.workspace_of[offset] = rest.partition("/")[0]
        else:
            raise CodecError(f"message {offset} of the definitions has key {key!r}, expected plan/... or view/...")


def partial_kinds(view: ViewPlan) -> tuple[PartialKind, ...]:
    """Returns the implementation of each of a view's partials, in order."""
    types = {column.name: parse_wire_type(column.dtype) for column in view.columns}
    kinds: list[PartialKind] = []
    for partial in view.partials:
        wanted = dict(FUNCTIONS[partial.function].partials(types[partial.column], partial.n))
        kinds.append(wanted[partial.key])
    return tuple(kinds)


def stored_columns(view: ViewPlan) -> tuple[str, ...]:
    """Returns the columns that a row of online state holds: what is aggregated, or what is served."""
    wanted = view.partials if view.is_aggregate else view.features
    return tuple(dict.fromkeys(item.column for item in wanted))
