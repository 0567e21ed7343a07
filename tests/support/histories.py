"""Random views, random logs of rows and random moments to read at, for the core and its oracle alike.

A view is compiled from the text of a feature repository, so what is proven is what users run.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from hypothesis import HealthCheck, reject, settings
from hypothesis import strategies as st

from schemas.aggregation.table import accepts, bind
from schemas.definitions.compile import compile_sources, compile_views
from schemas.definitions.plan import ViewPlan
from schemas.definitions.repository import load_repository
from schemas.errors import DefinitionError
from schemas.messages.updates import MESSAGE_FORMAT, Row, Update
from schemas.state.keys import encode_join_keys, partition_of
from schemas.types import Bool, DataType, Float64, Int64, String
from tests.support import oracle
from tests.support.aggregates import bound_functions
from tests.support.oracle_text import view_of_text

EXAMPLES_OF_PROFILE = {"quick": 0.25, "long": 20}
"""Multiplies the number of random examples of every such test, by Hypothesis profile; 1 for any other."""

SECOND = 1_000_000
BASE = 1_760_000_000 * SECOND
"""The middle of every history; a whole multiple of no interval but a second's."""

JOIN_KEYS = ("user", "number")
COLUMN_TYPES: Mapping[str, DataType] = {"flag": Bool, "text": String, "whole": Int64, "x": Float64, "y": Float64}
COLUMNS = tuple(COLUMN_TYPES)


def examples(count: int) -> Callable[[Any], Any]:
    """Returns the Hypothesis settings of a test that tries ``count`` examples, or more or fewer by its profile."""
    return settings(
        max_examples=max(5, int(count * EXAMPLES_OF_PROFILE.get(settings.get_current_profile_name(), 1))),
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


@dataclass(frozen=True, slots=True)
class Arrival:
    """One row as materialize meets it, in log order; a resend from a restarted transform carries its old version."""

    event: oracle.Event

    @property
    def key(self) -> bytes:
        """Returns the encoded join keys."""
        return encode_join_keys(self.event.key)


@dataclass(frozen=True, slots=True)
class History:
    """Views of one source, as compiled and as the oracle reads their texts, what arrived, and when to read."""

    views: tuple[ViewPlan, ...]
    judges: tuple[oracle.View, ...]
    arrivals: tuple[Arrival, ...]
    reads: tuple[int, ...]
    keys: tuple[tuple[Any, ...], ...]
    identity: tuple[str, ...] = ()

    def events(self) -> list[oracle.Event]:
        """Returns the events, as the oracle takes them."""
        return [arrival.event for arrival in self.arrivals]


SOURCE = """
from datetime import timedelta
from headrace import *

user = Entity(name="user", join_keys=[Field("user", String), Field("number", Int64)])
source = StreamSource(name="events", timestamp_field="at", schema=[
    Field("user", String, required=False), Field("number", Int64, required=False), Field("at", Timestamp),
    Field("flag", Bool, required=False), Field("text", String, required=False), Field("whole", Int64, required=False),
    Field("x", Float64, required=False), Field("y", Float64, required=False){fields}], identity={identity})
"""

IDENTITY_COLUMNS: Mapping[str, tuple[str, Sequence[Any]]] = {
    "order": ("String", ("", "a", "b", "a\x00", "é", "\U0001f600")),
    "line": ("Int64", (-1, 0, 1, 2**63 - 1)),
    "gift": ("Bool", (False, True)),
    "paid": ("Timestamp", (-1, 0, BASE)),
}
"""By name: type, and values that events have."""


VIEW = """
@stream_feature_view(source=source, entities=[user], timestamp_field="at", {options})
def {name}(record):
    return record
"""


def compiled(views: Mapping[str, str], identity: Sequence[str] = ()) -> tuple[ViewPlan, ...]:
    """Returns views over the one source, numbered from 1.

    Args:
        views: the text of the options of each, by name.
        identity: of ``IDENTITY_COLUMNS``, which the source has besides.
    """
    fields = "".join(f', Field("{name}", {IDENTITY_COLUMNS[name][0]})' for name in identity)
    text = SOURCE.format(fields=fields, identity=list(identity)) + "".join(
        VIEW.format(name=name, options=options) for name, options in views.items()
    )
    repository = load_repository({"views.py": text}, "repo")
    plans = compile_views(repository, compile_sources(repository, 4)).values()
    return tuple(msgspec.structs.replace(plan, id=number) for number, plan in enumerate(plans, 1))


def micros(value: int) -> str:
    """Returns the text of a duration in a repository."""
    return f"timedelta(microseconds={value})"


AGGREGATES = tuple(
    (function, column, parameters)
    for function, parameters in bound_functions()
    for column, dtype in COLUMN_TYPES.items()
    if accepts(bind(function, parameters), dtype)
)
INTERVALS = (SECOND, 7 * SECOND, 60 * SECOND, 90 * SECOND, 600 * SECOND, 3600 * SECOND)
TILES = (1, 1, 2, 3, 10, 61, 128, 129, 500, 3000, 8760)
CONTINUOUS_WINDOWS = (1, 2, SECOND, 59 * SECOND, 600 * SECOND, 3601 * SECOND, 86_400 * SECOND, 30 * 86_400 * SECOND)
GRACES = (0, 1, 60 * SECOND, 7 * 86_400 * SECOND)


@st.composite
def aggregate_options(draw: st.DrawFn, interval: int) -> str:
    """Draws the options of an aggregate view: 1 to 4 windows, some with offsets, each with a few aggregates."""
    unit = interval or 1
    lengths = [unit * count for count in TILES] if interval else list(CONTINUOUS_WINDOWS)
    windows = draw(st.lists(st.sampled_from(lengths), min_size=1, max_size=4))
    items: list[str] = []
    for window in windows:
        offset = draw(st.sampled_from((0, 0, unit, 3 * unit, window)))
        chosen = draw(
            st.lists(st.sampled_from(AGGREGATES), min_size=1, max_size=4, unique_by=operator.itemgetter(0, 1))
        )
        for function, column, parameters in chosen:
            given = "".join(f", {name}={value!r}" for name, value in parameters.items())
            timing = f"{micros(window)}, offset={micros(offset)}{given}"
            items.append(f'Aggregate("{function}", "{column}", {timing}, name="f{len(items)}")')
    grain = f"aggregation_interval={micros(interval)}, " if interval else ""
    return f"{grain}grace={micros(draw(st.sampled_from(GRACES)))}, features=[{', '.join(items)}]"


@st.composite
def view_options(draw: st.DrawFn) -> str:
    """Draws the options of a tiled, a continuous or an attribute view."""
    kind = draw(st.sampled_from(("tiled", "tiled", "continuous", "continuous", "attributes")))
    if kind == "attributes":
        ttl = draw(st.sampled_from((None, 1, 60 * SECOND)))
        return "" if ttl is None else f"ttl={micros(ttl)}"
    return draw(aggregate_options(draw(st.sampled_from(INTERVALS)) if kind == "tiled" else 0))


KEYS = (
    ("a", 1), ("a", None), (None, 1), (None, None), ("a", -1), ("", 0), ("a\x00", 1), ("a\x00\xff", 1),
    ("ключ\U0001f600", 1), ("a", -(2**63)), ("a", 2**63 - 1), ("\x00\x00", 256),
)  # fmt: skip

FLOATS = st.one_of(
    st.sampled_from((0.0, -0.0, 0.1, -0.1, 1e16, 1.0, -1e16, 1e308, -1e308, 1.7976931348623157e308, 5e-324, 1e-300)),
    st.sampled_from((float("inf"), float("-inf"), float("nan"))),
    st.floats(),
)
INTEGERS = st.one_of(st.sampled_from((0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1)), st.integers(-(2**63), 2**63 - 1))
TEXTS = st.one_of(st.sampled_from(("", "a", "b", "a\x00", "é", "\U0001f600")), st.text(max_size=4))
VALUES = {
    "flag": st.booleans(),
    "text": TEXTS,
    "whole": INTEGERS,
    "x": FLOATS,
    "y": st.floats(-1e3, 1e3),
}


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    """Draws the values of a row besides its join keys and event time."""
    return {name: draw(st.none() | values) for name, values in VALUES.items()}


def _instants(views: Sequence[ViewPlan], reads: Sequence[int]) -> st.SearchStrategy[int]:
    """Event times: around each bound of each window at each read, around tile edges, and anywhere near."""
    edges = {BASE}
    for view in views:
        for now in reads:
            edge = now - now % view.interval if view.interval else now
            for feature in view.features:
                edges |= {edge - feature.offset, edge - feature.offset - feature.window}
            edges |= {now - now % width for width in view.resolutions}
            if view.ttl is not None:
                edges.add(now - view.ttl)
    jitter = st.sampled_from((-1, 0, 1)) | st.integers(-7200 * SECOND, 7200 * SECOND)
    exact = st.builds(lambda edge, shift: edge + shift, st.sampled_from(sorted(edges)), jitter)
    between = st.integers(min(edges) - SECOND, max(edges) + SECOND)
    return st.one_of(exact, exact, between)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Draws a whole history: late, resent, changed, duplicated and out-of-order rows of several views and keys."""
    chosen = draw(st.lists(view_options(), min_size=1, max_size=3))
    identity = tuple(draw(st.just([]) | st.lists(st.sampled_from(tuple(IDENTITY_COLUMNS)), max_size=2, unique=True)))
    try:
        views = compiled({f"v{number}": options for number, options in enumerate(chosen)}, identity)
    except DefinitionError as error:
        assert "is too long for tiles of" in str(error)  # noqa: PT017 - any other refusal is a bug
        reject()
    interval = max(view.interval for view in views) or 60 * SECOND
    moment = st.builds(
        lambda tile, shift: (BASE // interval + tile) * interval + shift,
        st.integers(-2, 2),
        st.sampled_from((-1, 0, 1)) | st.integers(-interval, interval),
    )
    reads = tuple(draw(st.lists(moment, min_size=1, max_size=4)))
    keys = tuple(draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True)))
    log = _Log(views, keys, identity)
    instants = _instants(views, reads)
    for _ in range(draw(st.integers(0, 30))):
        log.arrive(draw, instants)
    judges = tuple(
        replace(view_of_text(options, number, (*COLUMNS, *identity)), identity=identity)
        for number, options in enumerate(chosen, 1)
    )
    return History(views, judges, tuple(log.arrivals), reads, keys, identity)


@dataclass(slots=True)
class _Log:
    views: tuple[ViewPlan, ...]
    keys: tuple[tuple[Any, ...], ...]
    identity: tuple[str, ...]
    arrivals: list[Arrival] = field(default_factory=list)
    offset: int = 0

    def arrive(self, draw: st.DrawFn, instants: st.SearchStrategy[int]) -> None:
        """Adds the rows that one source record becomes."""
        again = bool(self.arrivals) and draw(st.booleans())
        earlier = draw(st.sampled_from(self.arrivals)).event if again else None
        if earlier is not None and draw(st.booleans()):  # the same message again, after a crash of the transform
            self.arrivals.append(Arrival(earlier))
            return
        view = draw(st.sampled_from(self.views))
        if earlier is None:
            key, time, values = draw(st.sampled_from(self.keys)), draw(instants), draw(rows()) | self._which(draw)
        else:  # the producer sends the event again, changed or not
            view = next(view for view in self.views if view.id == earlier.view)
            key, time = earlier.key, earlier.time
            values = dict(earlier.values) | (draw(rows()) if draw(st.booleans()) else {})
            if draw(st.booleans()):  # another event of the same instant, where there is an identity
                values |= self._which(draw)
        self.offset += draw(st.integers(1, 3))
        lateness = draw(st.sampled_from((0, 0, 5, -5)))
        if view.horizon is not None and draw(st.integers(0, 9)) == 0:
            lateness = view.horizon // 1000 + draw(st.sampled_from((-1, 0, 1, 2)))
        version = (time // 1000 + lateness, draw(st.integers(0, 2)), self.offset, draw(st.integers(0, 1)))
        self.arrivals.append(Arrival(oracle.Event(view.id, key, time, version, values)))

    def _which(self, draw: st.DrawFn) -> dict[str, Any]:
        return {name: draw(st.sampled_from(IDENTITY_COLUMNS[name][1])) for name in self.identity}


def update_of(view: ViewPlan, arrivals: Sequence[Arrival]) -> Update:
    """Returns the message that transform makes of rows of one view and one source partition."""
    packed: list[Row] = []
    for arrival in arrivals:
        event = arrival.event
        append_time, _, offset, index = event.version
        values = {**dict(zip(JOIN_KEYS, event.key, strict=True)), **event.values, "at": event.time}
        ordered = [values[column.name] for column in view.columns]
        packed.append(Row(arrival.key, event.time, append_time, offset, index, ordered))
    return Update(MESSAGE_FORMAT, 1, view.id, arrivals[0].event.version[1], packed, [])


def updates_of(history: History, arrivals: Sequence[Arrival]) -> list[Update]:
    """Returns messages for rows in their order: neighbours of one view and source partition share one."""
    views = {view.id: view for view in history.views}
    messages: list[list[Arrival]] = []
    for arrival in arrivals:
        last = messages[-1][-1].event if messages else None
        event = arrival.event
        if last is not None and (last.view, last.version[1]) == (event.view, event.version[1]):
            messages[-1].append(arrival)
        else:
            messages.append([arrival])
    return [update_of(views[group[0].event.view], group) for group in messages]


def by_partition(arrivals: Sequence[Arrival], partitions: int) -> list[list[Arrival]]:
    """Returns the rows of each updates partition, in order."""
    split: list[list[Arrival]] = [[] for _ in range(partitions)]
    for arrival in arrivals:
        split[partition_of(arrival.key, partitions)].append(arrival)
    return split
