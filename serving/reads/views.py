"""Feature values of one key of one view, from online state, without I/O of its own.

Invariant: a value is the aggregate of exactly the winning rows whose event time lies in the feature's window at the
leading edge; tiles only save work. Layout of keys: ``schemas.state.keys``; of values: ``schemas.state.values``.

Keys stay bytes as long as they can: they sort as their times do, so pieces of a span are found by comparing keys, which
saves the decoding of a time per tile (a third of a read).
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from typing_extensions import override

from schemas.aggregation.aggregate import AggregateFunction, Moment
from schemas.aggregation.sums import is_out_of_range
from schemas.definitions.plan import ViewPlan, stored_columns
from schemas.state.keys import row_prefix, tile_prefix, tile_suffix, time_of, time_suffix, without_identity
from schemas.state.reader import Reader
from schemas.state.values import FIRST_PARTIAL, decode, decode_row, decode_rows
from schemas.windows import Piece, continuous_bounds, cover, floor, tiled_bounds

EARLIEST: Final = -(2**63)


@dataclass(frozen=True, slots=True)
class ViewValues:
    """Values in the order of the view's features; None where there is none.

    ``effective_time``: µs since the epoch, of the row (attribute views) or of the windows' leading edge (aggregates);
    None where an attribute view has no row. ``out_of_range``: positions of sums that do not fit in 64 bits, whose value
    is None.
    """

    values: Sequence[Any]
    effective_time: int | None
    out_of_range: Sequence[int] = ()


class ViewReader(Protocol):
    """Reads one view; ``nothing`` is what it serves where there is nothing at all."""

    nothing: ViewValues

    def read(self, state: Reader, key: bytes, edge: int) -> ViewValues:
        """Returns the values of one key.

        Args:
            state: one partition's state.
            key: encoded join keys.
            edge: the leading edge, µs since the epoch.
        """


class AttributeReader(ViewReader):
    """Reads the newest row at or before the leading edge; of several of one instant, that of the greatest identity."""

    def __init__(self, view: ViewPlan) -> None:
        stored = stored_columns(view)
        self._view = view
        self._columns = [stored.index(feature.column) for feature in view.features]
        self.nothing = _nothing(view)

    @override
    def read(self, state: Reader, key: bytes, edge: int) -> ViewValues:
        prefix = row_prefix(self._view.id, key)
        # A row at the edge itself counts; the end of a range does not.
        found = state.last_before(prefix + time_suffix(EARLIEST), prefix + time_suffix(edge + 1))
        if found is None:
            return self.nothing
        time = time_of(without_identity(found[0]) if self._view.identity else found[0])
        if self._view.ttl is not None and edge >= time + self._view.ttl:
            return self.nothing
        row = decode_row(found[1])
        return ViewValues([row[column] for column in self._columns], time)


@dataclass(frozen=True, slots=True)
class _Feature:
    position: int
    function: AggregateFunction
    partials: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Window:
    """Features over one stretch of time, and the partials that they need."""

    window: int
    offset: int
    features: tuple[_Feature, ...]
    partials: tuple[int, ...]


class _Part(NamedTuple):
    """A piece of a window: part of what was read as span number ``span``, by the ends of its first and last keys."""

    span: int
    first: bytes
    behind: bytes


@dataclass(frozen=True, slots=True)
class _Layout:
    """What to read for one leading edge: spans, each once, and of which parts of them each window is made."""

    spans: Sequence[tuple[bool, bytes, bytes]]  # (rows or tiles, end of the first key, end of the key behind)
    windows: Sequence[Sequence[_Part]]


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of a span, by column."""

    prefix: bytes
    keys: list[bytes]
    moments: Sequence[Moment]
    columns: Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class _Tiles:
    """Tiles of a span, by partial: ``partials[index + FIRST_PARTIAL]`` holds one of each tile."""

    prefix: bytes
    keys: list[bytes]
    partials: Sequence[Sequence[Any]]


class AggregateReader(ViewReader):
    """Reads windows from tiles, and from rows where a window ends inside a tile."""

    def __init__(self, view: ViewPlan) -> None:
        self._view = view
        self._kinds = [partial.bound() for partial in view.partials]
        stored = stored_columns(view)
        self._columns = [stored.index(partial.column) for partial in view.partials]
        lengths = sorted({(feature.window, feature.offset) for feature in view.features})
        self._windows = [self._window(window, offset) for window, offset in lengths]
        self._latest: tuple[int, _Layout] | None = None
        self.nothing = _nothing(view)

    @override
    def read(self, state: Reader, key: bytes, edge: int) -> ViewValues:
        view = self._view
        if view.interval:
            # First of all: every read of one interval has this edge, and so the same layout, which is kept.
            edge = floor(edge, view.interval)
        layout = self._layout(edge)
        contents = [
            self._rows(state, row_prefix(view.id, key), first, behind)
            if rows
            else self._tiles(state, tile_prefix(view.id, key), first, behind)
            for rows, first, behind in layout.spans
        ]
        # An aggregate of nothing is null; a dialect that is asked for zero counts makes them of it.
        values: list[Any] = [None] * len(view.features)
        beyond: list[int] = []
        for window, parts in zip(self._windows, layout.windows, strict=True):
            gathered: dict[int, list[Any]] = {index: [] for index in window.partials}
            for part in parts:
                content = contents[part.span]
                if content is not None:
                    self._gather(gathered, part, content)
            merged = {index: self._kinds[index].merge(found) for index, found in gathered.items() if found}
            if merged:
                for feature in window.features:
                    partials = [merged[index] for index in feature.partials]
                    value = values[feature.position] = feature.function.finish(partials)
                    if value is None and is_out_of_range(partials):
                        beyond.append(feature.position)
        return ViewValues(values, edge, beyond)

    def _window(self, window: int, offset: int) -> _Window:
        features = tuple(
            _Feature(position, function, feature.partials)
            for position, feature in enumerate(self._view.features)
            if (function := feature.aggregate()) is not None and (feature.window, feature.offset) == (window, offset)
        )
        return _Window(window, offset, features, tuple(sorted({p for f in features for p in f.partials})))

    def _layout(self, edge: int) -> _Layout:
        """Returns what to read; that of the latest edge is kept, as a tiled view has one edge per interval."""
        latest = self._latest  # another thread may replace it meanwhile
        if latest is None or latest[0] != edge:
            latest = self._latest = (edge, _layout([self._cover(window, edge) for window in self._windows]))
        return latest[1]

    def _cover(self, window: _Window, edge: int) -> list[Piece]:
        if self._view.interval:
            start, end = tiled_bounds(edge, window.window, window.offset, self._view.interval)
        else:
            start, end = continuous_bounds(edge, window.window, window.offset)
        return cover(start, end, self._view.resolutions)

    def _tiles(self, state: Reader, prefix: bytes, first: bytes, behind: bytes) -> _Tiles | None:
        found = list(state.scan(prefix + first, prefix + behind))
        if not found:
            return None
        return _Tiles(prefix, [key for key, _ in found], list(zip(*[decode(tile) for _, tile in found], strict=True)))

    def _rows(self, state: Reader, prefix: bytes, first: bytes, behind: bytes) -> _Rows | None:
        found = list(state.scan(prefix + first, prefix + behind))
        if not found:
            return None
        keys = [key for key, _ in found]
        columns = list(zip(*decode_rows(found), strict=True))
        return _Rows(prefix, keys, self._moments(keys, len(prefix)), columns)

    def _moments(self, keys: list[bytes], at: int) -> Sequence[Moment]:
        return [key[at:] for key in keys] if self._view.identity else [time_of(key) for key in keys]

    def _gather(self, gathered: dict[int, list[Any]], part: _Part, content: _Rows | _Tiles) -> None:
        first = bisect_left(content.keys, content.prefix + part.first)
        behind = bisect_left(content.keys, content.prefix + part.behind, first)
        if first == behind:
            return
        if isinstance(content, _Tiles):
            for index, found in gathered.items():
                found.extend(content.partials[index + FIRST_PARTIAL][first:behind])
            return
        # Rows at a ragged edge are lifted by what also made the tiles, so edge and middle count alike.
        moments = content.moments[first:behind]
        for index, found in gathered.items():
            found.append(self._kinds[index].lift(moments, content.columns[self._columns[index]][first:behind]))


def _layout(covers: Sequence[Sequence[Piece]]) -> _Layout:
    """Returns the layout of windows that are made of the given pieces; what overlaps or touches is read once.

    A continuous view has a new layout at every read, so this is written for speed: 18 pieces take 25 µs.
    """
    spans: list[tuple[bool, bytes, bytes]] = []
    windows: list[list[_Part]] = [[] for _ in covers]
    known, reach = -1, 0  # resolution and end of the latest span
    for (resolution, start, end), window in sorted([(p, w) for w, pieces in enumerate(covers) for p in pieces]):
        if resolution:
            first, behind = tile_suffix(resolution, start), tile_suffix(resolution, end)
        else:
            first, behind = time_suffix(start), time_suffix(end)
        if resolution != known or start > reach:
            spans.append((resolution == 0, first, behind))
            known, reach = resolution, end
        elif end > reach:
            spans[-1] = (resolution == 0, spans[-1][1], behind)
            reach = end
        windows[window].append(_Part(len(spans) - 1, first, behind))
    return _Layout(spans, windows)


def _nothing(view: ViewPlan) -> ViewValues:
    return ViewValues((None,) * len(view.features), None)


def view_reader(view: ViewPlan) -> ViewReader:
    """Returns the compiled reader of a view."""
    return AggregateReader(view) if view.is_aggregate else AttributeReader(view)
