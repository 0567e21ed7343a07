"""The compiled form of a feature repository: all that running processes need, as data.

Invariant: a plan is complete. Whoever holds one needs no other file to transform, store or serve, and two processes
with the same plan number run the same definitions.

As messages: ``schemas.definitions.plan_codec``. What all messages of the topic say together:
``schemas.definitions.fold``.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final

import msgspec

from schemas.aggregation.aggregate import AggregateFunction, PartialKind
from schemas.aggregation.table import bind, described, partial_kind
from schemas.avro.schema import avro_record
from schemas.errors import DefinitionError
from schemas.types import DataType, Field, Timestamp

PLAN_FORMAT: Final = 3
IDENTITY_PLAN_FORMAT: Final = 4  # of a plan with identity columns, which releases that know none must not fold by


class SourcePlan(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stream source.

    ``schema`` is the Avro text registered for it under ``schema_id``. ``identity``: columns that tell events of one
    instant apart, for views that are applied from here on.
    """

    name: str
    columns: tuple[Field, ...]
    timestamp_field: str
    log_offline: bool
    schema: str
    schema_id: int
    partitions: int
    identity: tuple[str, ...] = ()


class PartialPlan(msgspec.Struct, frozen=True, array_like=True):
    """One partial of a view's tiles: a kind of `schemas.aggregation.table`, of one column."""

    column: str
    kind: str
    parameters: dict[str, Any]

    @classmethod
    def of(cls, column: str, kind: PartialKind) -> "PartialPlan":
        """Returns the plan of a kind of partial."""
        name, parameters = described(kind)
        return cls(column, name, dict(parameters))

    def bound(self) -> PartialKind:
        """Returns the kind."""
        return partial_kind(self.kind, self.parameters)


class FeaturePlan(msgspec.Struct, frozen=True, omit_defaults=True):
    """One served feature; aggregates only have a function, a window and partials. Durations in µs."""

    name: str
    dtype: DataType
    column: str
    function: str | None = None
    parameters: dict[str, Any] = {}
    window: int = 0
    offset: int = 0
    partials: tuple[int, ...] = ()  # indices into the view's partials

    def aggregate(self) -> AggregateFunction | None:
        """Returns the feature's function with its parameters; None of an attribute view's.

        Raises:
            DefinitionError: this version does not know it.
        """
        return None if self.function is None else bind(self.function, self.parameters)


class ViewPlan(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stream feature view.

    ``columns`` are what a row holds, in order: join keys, event time, then the rest. Durations in µs. ``horizon`` is
    None for attribute views, which keep the newest row however old it is. ``interval`` is the width of a tiled view's
    tiles, 0 for continuous and attribute views; ``resolutions`` is empty for attribute views. ``identity`` are the
    columns that tell rows of one key and event time apart.
    """

    id: int
    name: str
    version: str
    source: str
    join_keys: tuple[str, ...]
    timestamp_field: str
    columns: tuple[Field, ...]
    features: tuple[FeaturePlan, ...]
    partials: tuple[PartialPlan, ...]
    resolutions: tuple[int, ...]
    interval: int
    horizon: int | None
    grace: int
    ttl: int | None
    online: bool
    offline: bool
    code: str  # schemas.definitions.code.code_digest of its function
    identity: tuple[str, ...] = ()

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
            Field(column.name, Timestamp, required=True) if column.name == self.timestamp_field else column
            for column in self.columns
        )
        return avro_record(f"{name}__{self.id}", fields)


_AVRO_NAME: Final = str.maketrans({".": "_", "-": "_"})


class ServicePlan(msgspec.Struct, frozen=True):
    """A feature service: the keys (``name@version``) of its views."""

    name: str
    views: tuple[str, ...]
    online_serving_enabled: bool = True


class RetiredView(msgspec.Struct, frozen=True):
    """A removed view that is still folded, so that the same definition can take it up again without a gap.

    ``source`` is its source as it was last applied, ``texts`` the digest of the repository that its function runs from
    (``Plan.repositories``), ``since`` the number of the last plan that served it, ``grace`` the seconds of running time
    that it is kept for.
    """

    view: ViewPlan
    source: SourcePlan
    texts: str
    since: int
    grace: float


class Plan(msgspec.Struct, frozen=True):
    """All definitions of one workspace.

    ``number`` is the offset of the message and so is -1 while it is written. ``files`` are the repository's texts by
    relative path; ``digest`` is their SHA-256. ``views`` are what is served and listed; ``retired`` has other keys, and
    ``repositories`` the texts, by digest, that its views run from.
    """

    workspace: str
    partitions: int
    sources: dict[str, SourcePlan]
    views: dict[str, ViewPlan]
    services: dict[str, ServicePlan]
    files: dict[str, str]
    digest: str
    retired: dict[str, RetiredView] = {}
    repositories: dict[str, dict[str, str]] = {}
    format: int = PLAN_FORMAT
    number: int = -1

    @property
    def has_identity(self) -> bool:
        """Whether a source or a view has identity columns."""
        return any(source.identity for source in self.read_sources().values()) or any(
            view.identity for view in self.folded_views().values()
        )

    def views_of(self, source: str) -> tuple[ViewPlan, ...]:
        """Returns the served views that a source feeds, by key."""
        return tuple(self.views[key] for key in sorted(self.views) if self.views[key].source == source)

    def folded_views(self) -> dict[str, ViewPlan]:
        """Returns what processors keep state of, by key: the served views and the retired ones."""
        return {**self.views, **{key: retired.view for key, retired in self.retired.items()}}

    def read_sources(self) -> dict[str, SourcePlan]:
        """Returns what processors read, by name: the plan's sources and those that feed nothing but retired views."""
        return {**{retired.source.name: retired.source for retired in self.retired.values()}, **self.sources}


def without_retired(plan: Plan, ids: Iterable[int]) -> Plan:
    """Returns a plan without the retired views of these ids, and without the texts that only they run from."""
    gone = frozenset(ids)
    retired = {key: each for key, each in plan.retired.items() if each.view.id not in gone}
    return msgspec.structs.replace(plan, retired=retired, repositories=needed_texts(plan.repositories, retired))


def needed_texts(
    repositories: Mapping[str, dict[str, str]], retired: Mapping[str, RetiredView]
) -> dict[str, dict[str, str]]:
    """Returns the repositories, by digest, that retired views run from."""
    return {digest: repositories[digest] for digest in sorted({each.texts for each in retired.values()})}


def join_keys_of(views: Iterable[ViewPlan]) -> tuple[Field, ...]:
    """Returns the join keys of views that are read together, each once, by name.

    Raises:
        DefinitionError: two of the views give one join key different types.
    """
    types: dict[str, tuple[DataType, str]] = {}
    for view in views:
        columns = {column.name: column for column in view.columns}
        for name in view.join_keys:
            dtype = columns[name].dtype
            known, first = types.setdefault(name, (dtype, view.key))
            if known != dtype:
                raise DefinitionError(
                    f"join key {name!r} is {known.name} in view {first} and {dtype.name} in view {view.key}; make them "
                    "one type, rename one of them, or give each view a service of its own"
                )
    return tuple(Field(name, types[name][0]) for name in sorted(types))


_SORTED: Final = msgspec.json.Encoder(order="sorted")


def view_digest(view: ViewPlan) -> bytes:
    """Returns the SHA-256 of all of a view but its id: what an id stands for.

    State of another digest is dropped. So a field that ``ViewPlan`` or ``FeaturePlan`` get later needs a default that
    means what was before: it is left out of the digest, and state outlives the upgrade.
    """
    return sha256(_SORTED.encode(msgspec.structs.replace(view, id=-1))).digest()


def stored_columns(view: ViewPlan) -> tuple[str, ...]:
    """Returns the columns that a row of online state holds: what is aggregated, or what is served."""
    wanted = view.partials if view.is_aggregate else view.features
    return tuple(dict.fromkeys(item.column for item in wanted))


def check_known(view: ViewPlan) -> None:
    """Refuses a view with an aggregate that this version does not know: a later one has applied it.

    Raises:
        DefinitionError: as said; the message names it.
    """
    for feature in view.features:
        feature.aggregate()
    for partial in view.partials:
        partial.bound()
