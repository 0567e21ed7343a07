"""How one feature service is read: compiled when definitions change, used by every request.

Invariant: nothing about a definition is looked up while a request is answered; a plan is immutable, so a request that
began with one ends with it.

Order (rule TF-10): views alphabetical by name, inside each its features alphabetical. The
compiler of definitions sorts the features of a view; views are sorted here.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, Protocol

from schemas.definitions.plan import FeaturePlan, Plan, ServicePlan, ViewPlan, join_keys_of, view_digest
from schemas.errors import RequestError
from schemas.limits import MAX_JOIN_KEY_BYTES
from schemas.state.keys import JoinKey, LongKeyError, encode_join_keys, partition_of
from schemas.state.reader import Reader
from schemas.types import Field
from serving.reads.missing import Explanation, explain, not_taken_up
from serving.reads.views import ViewReader, ViewValues, view_reader


class LeadingEdge(Enum):
    """Where the windows of aggregates end (docs/design.md §3)."""

    WALL_CLOCK = auto()
    LATEST_EVENT = auto()
    """At the view's watermark, over all partitions, or at the wall clock where that is earlier."""


class ViewFacts(NamedTuple):
    """What the state of a partition says of the view of an id.

    Attributes:
        digest: of the view that it holds under this id (``schemas.definitions.plan.view_digest``); None before it was
            taken up.
        watermark: greatest event time seen, in µs since the epoch; None before its first event.
    """

    digest: bytes | None
    watermark: int | None


class Partition(Protocol):
    """The state of one updates partition, as of its last catch-up."""

    @property
    def reader(self) -> Reader:
        """Reads it."""

    def facts(self, view: int) -> "ViewFacts":
        """Returns what the state says of a view."""


OpenPartition = Callable[[int], Partition]
"""Returns an updates partition, caught up with all that is published; raises UnavailableError if there is none."""


class ViewAnswer(NamedTuple):
    """What was read of one view.

    Attributes:
        values: of its features.
        watermark: of the partition that it was read from, in µs.
        missing: why features have no value; empty if nobody asked.
    """

    values: ViewValues
    watermark: int | None
    missing: Explanation = ()


@dataclass(frozen=True, slots=True)
class ViewRead:
    """One view of a service; ``key`` is the position of its join keys in ``ReadPlan.keys``."""

    digest: bytes
    view: ViewPlan
    reader: ViewReader
    key: int


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """One feature service.

    Attributes:
        workspace: its workspace.
        service: its name.
        partitions: of the workspace's updates topic.
        join_keys: the union of its views' join keys, by name.
        keys: the different lists of join keys that its views have, each as positions in ``join_keys``.
        views: in serving order.
    """

    workspace: str
    service: str
    partitions: int
    join_keys: tuple[Field, ...]
    keys: tuple[tuple[int, ...], ...]
    views: tuple[ViewRead, ...]

    def features(self) -> list[tuple[str, FeaturePlan]]:
        """Returns all features in serving order, each with its name on the wire, ``<view>.<feature>``."""
        return [(f"{read.view.name}.{feature.name}", feature) for read in self.views for feature in read.view.features]

    def read(
        self,
        open_partition: OpenPartition,
        join_keys: Sequence[JoinKey],
        now: int,
        edge: LeadingEdge,
        *,
        is_explained: bool = False,
    ) -> list[ViewAnswer]:
        """Returns what is served for one set of join keys, one answer per view, in order.

        Every partition it needs is caught up before the first value is read, and none afterwards.

        Args:
            open_partition: opens partitions of the service's workspace.
            join_keys: values in the order of ``join_keys``; None is a key like any other.
            now: the wall clock, µs since the epoch.
            edge: where windows of aggregates end. Attribute views always serve their newest row at or before ``now``.
            is_explained: whether to say why values are missing.

        Raises:
            RequestError: the join keys of a view are too long to be those of any row.
            UnavailableError: a partition is not there yet or cannot be read now.
        """
        encoded = [self._encoded(key, join_keys) for key in self.keys]
        at_watermark = edge is LeadingEdge.LATEST_EVENT and any(read.view.is_aggregate for read in self.views)
        numbers = [partition_of(key, self.partitions) for key in encoded]
        opened = {n: open_partition(n) for n in (range(self.partitions) if at_watermark else set(numbers))}
        answers: list[ViewAnswer] = []
        for read in self.views:
            view, partition = read.view, opened[numbers[read.key]]
            facts = partition.facts(view.id)
            if facts.digest != read.digest:  # not taken up yet: what lies under its id, if anything, is another view's
                answers.append(ViewAnswer(read.reader.nothing, None, not_taken_up(view) if is_explained else ()))
                continue
            end: int | None = now
            if at_watermark and view.is_aggregate:
                # ``processors.materialize.retention`` keeps what windows that end here need, and no more.
                latest = _latest(read, opened.values())
                end = None if latest is None else min(latest, now)
            key = encoded[read.key]
            values = read.reader.nothing if end is None else read.reader.read(partition.reader, key, end)
            missing = explain(view, partition.reader, key, now, end, values) if is_explained else ()
            answers.append(ViewAnswer(values, facts.watermark, missing))
        return answers

    def _encoded(self, key: tuple[int, ...], join_keys: Sequence[JoinKey]) -> bytes:
        try:
            return encode_join_keys([join_keys[position] for position in key])
        except LongKeyError as error:
            longest = self.join_keys[key[error.position]].name
            raise RequestError(
                f"Join key {longest} is too long: the join keys of a view have at most {MAX_JOIN_KEY_BYTES} bytes, "
                f"these have {error.size}"
            ) from None


def compile_read_plan(plan: Plan, service: ServicePlan) -> ReadPlan:
    """Returns how a service of a plan is read.

    Raises:
        DefinitionError: two of its views give one join key different types.
    """
    views = sorted((plan.views[key] for key in service.views), key=lambda view: view.name)
    join_keys = join_keys_of(views)
    names = [field.name for field in join_keys]
    positions = [tuple(names.index(name) for name in view.join_keys) for view in views]
    keys = tuple(dict.fromkeys(positions))
    reads = tuple(
        ViewRead(view_digest(view), view, view_reader(view), keys.index(key))
        for view, key in zip(views, positions, strict=True)
    )
    return ReadPlan(plan.workspace, service.name, plan.partitions, join_keys, keys, reads)


def _latest(read: ViewRead, partitions: Iterable[Partition]) -> int | None:
    """Returns a view's watermark over all partitions."""
    facts = [partition.facts(read.view.id) for partition in partitions]
    return max((f.watermark for f in facts if f.digest == read.digest and f.watermark is not None), default=None)
