"""Feature values of one key of one view, from online state, without I/O of its own.

Invariant: a value is the aggregate of exactly the winning rows whose event time lies in the feature's window at the
leading edge; tiles only save work. Layout of keys: ``schemas.keys``; of values: ``processors.materialize``.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from schemas.aggregation.functions import FUNCTIONS
from schemas.aggregation.partials import PartialKind
from schemas.keys import row_prefix, tile_prefix, tile_suffix, time_of, time_suffix
from schemas.plan import FeaturePlan, ViewPlan, partial_kinds, stored_columns
from schemas.state_reader import Reader
from schemas.updates import VERSION_BYTES
from schemas.windows import Piece, continuous_bounds, cover, floor, tiled_bounds

EARLIEST = -(2**63)

decode = msgspec.msgpack.Decoder().decode


@dataclass(frozen=True, slots=True)
class ViewValues:
    """Values in the order of the view's features; None where there is none.

    ``effective_time``: µs since the epoch, of the row (attribute views) or of the windows' leading edge (aggregates);
    None where an attribute view has no row.
    """

    values: Sequence[Any]
    effective_time: int | None


class AttributeReader:
    """Reads the newest row at or before the leading edge."""

    def __init__(self, view: ViewPlan) -> None:
        stored = stored_columns(view)
        self._view = view
        self._columns = [stored.index(feature.column) for feature in view.features]
        self.nothing = ViewValues((None,) * len(view.features), None)

    def read(self, state: Reader, key: bytes, edge: int) -> ViewValues:
        """Returns the values of one key.

        Args:
            state: one partition's state.
            key: encoded join keys.
            edge: the leading edge, µs since the epoch.
        """
        prefix = row_prefix(self._view.id, key)
        found = state.last_before(prefix + time_suffix(EARLIEST), prefix + time_suffix(edge + 1))
        if found is None:
            return self.nothing
        time = time_of(found[0])
        if self._view.ttl is not None and edge >= time + self._view.ttl:
            return self.nothing
        row = decode(found[1][VERSION_BYTES:])
        return ViewValues([row[column] for column in self._columns], time)


@dataclass(frozen=True, slots=True)
class _Window:
    """Features over one stretch of time, as (position, feature), and the partials that they need."""

    window: int
    offset: int
    features: tuple[tuple[int, FeaturePlan], ...]
    partials: tuple[int, ...]


class AggregateReader:
    """Reads windows from tiles, and from rows where a window ends inside a tile."""

    def __init__(self, view: ViewPlan) -> None:
        self._view = view
        self._kinds: tuple[PartialKind, ...] = partial_kinds(view)
        stored = stored_columns(view)
        self._columns = [stored.index(partial.column) for partial in view.partials]
        lengths = sorted({(feature.window, feature.offset) for feature in view.features})
        self._windows = [self._window(window, offset) for window, offset in lengths]
        self.nothing = ViewValues((None,) * len(view.features), None)

    def _window(self, window: int, offset: int) -> _Window:
        numbered = enumerate(self._view.features)
        features = tuple((i, f) for i, f in numbered if (f.window, f.offset) == (window, offset))
        return _Window(window, offset, features, tuple(sorted({p for _, f in features for p in f.partials})))

    def read(self, state: Reader, key: bytes, edge: int) -> ViewValues:
        """Returns the values of one key.

        Args:
            state: one partition's state.
            key: encoded join keys.
            edge: the leading edge, µs since the epoch.
        """
        view = self._view
        covers = [self._cover(window, edge) for window in self._windows]
        spans = _spans([piece for pieces in covers for piece in pieces])
        contents = {
            span: self._rows(state, key, span) if span.resolution == 0 else self._tiles(state, key, span)
            for span in spans
        }
        values: list[Any] = [None] * len(view.features)
        for window, pieces in zip(self._windows, covers, strict=True):
            gathered: dict[int, list[Any]] = {index: [] for index in window.partials}
            for piece in pieces:
                self._gather(gathered, piece, contents[_span_of(piece, spans)])
            merged = {i: self._kinds[i].merge(parts) for i, parts in gathered.items() if parts}
            for position, feature in window.features:
                if feature.partials[0] in merged and feature.function is not None:
                    parts = [merged[index] for index in feature.partials]
                    values[position] = FUNCTIONS[feature.function].finish(parts, feature.n)
        return ViewValues(values, floor(edge, view.interval) if view.interval else edge)

    def _cover(self, window: _Window, edge: int) -> list[Piece]:
        if self._view.interval:
            start, end = tiled_bounds(edge, window.window, window.offset, self._view.interval)
        else:
            start, end = continuous_bounds(edge, window.window, window.offset)
        return cover(start, end, self._view.resolutions)

    def _tiles(self, state: Reader, key: bytes, span: Piece) -> tuple[list[int], list[Any]]:
        prefix = tile_prefix(self._view.id, key)
        low = prefix + tile_suffix(span.resolution, span.start)
        high = prefix + tile_suffix(span.resolution, span.end)
        starts, tiles = [], []
        for tile_key, value in state.scan(low, high):
            starts.append(time_of(tile_key))
            tiles.append(decode(value))
        return starts, tiles

    def _rows(self, state: Reader, key: bytes, span: Piece) -> tuple[list[int], list[Any]]:
        prefix = row_prefix(self._view.id, key)
        times, rows = [], []
        for row_key, value in state.scan(prefix + time_suffix(span.start), prefix + time_suffix(span.end)):
            times.append(time_of(row_key))
            rows.append(decode(value[VERSION_BYTES:]))
        return times, rows

    def _gather(self, gathered: dict[int, list[Any]], piece: Piece, content: tuple[list[int], list[Any]]) -> None:
        times, items = content
        first, last = bisect_left(times, piece.start), bisect_left(times, piece.end)
        if first == last:
            return
        if piece.resolution:
            for index, parts in gathered.items():
                parts += [tile[index + 1] for tile in items[first:last]]
            return
        for index, parts in gathered.items():
            column = self._columns[index]
            parts.append(self._kinds[index].lift(times[first:last], [row[column] for row in items[first:last]]))


def _spans(pieces: Sequence[Piece]) -> list[Piece]:
    """Joins pieces that overlap or touch, so that each stretch of state is read once."""
    spans: list[Piece] = []
    for piece in sorted(pieces):
        last = spans[-1] if spans else None
        if last is not None and last.resolution == piece.resolution and piece.start <= last.end:
            spans[-1] = Piece(last.resolution, last.start, max(last.end, piece.end))
        else:
            spans.append(piece)
    return spans


def _span_of(piece: Piece, spans: Sequence[Piece]) -> Piece:
    return next(s for s in spans if s.resolution == piece.resolution and s.start <= piece.start and piece.end <= s.end)


ViewReader = AttributeReader | AggregateReader


def view_reader(view: ViewPlan) -> ViewReader:
    """Returns the compiled reader of a view."""
    return AggregateReader(view) if view.is_aggregate else AttributeReader(view)
