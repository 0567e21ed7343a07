"""From rows to writes of online state: the second fold of the pipeline, without I/O.

Invariant: state is a function of the set of winning rows, the same for every batching and order of arrival. An identity
(view, join keys, event time, identity columns if the view has some) counts once; of its rows the one with the highest
version wins (docs/design.md §1.2).

Layout of keys: ``schemas.state.keys``; of values: ``schemas.state.values``.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from schemas.definitions.plan import ViewPlan, stored_columns
from schemas.instants import MILLISECOND
from schemas.messages.updates import (
    EQUAL,
    LATE,
    NEW,
    OFFLINE_ONLY,
    REPLACED,
    SUPERSEDED,
    UNKNOWN,
    Row,
    UpdateMessage,
    Value,
)
from schemas.records.lateness import CLOCKS_DIFFER
from schemas.state.keys import (
    NEXT_OFFSET,
    TIME_BYTES,
    encode_identity,
    row_prefix,
    tile_prefix,
    tile_suffix,
    time_of,
    time_suffix,
    watermark_key,
)
from schemas.state.reader import Reader
from schemas.state.values import NEWEST, VERSION_BYTES, Tile, decode, decode_number, decode_row, encode, version_bytes


@dataclass(slots=True)
class Materialization:
    """What a batch writes: keys and values in order (None deletes), and what became of its rows.

    ``outcomes``: by view, one of ``ROW_OUTCOMES`` for each row, in the order in which they came. ``future``: by view,
    the indices in it of rows whose event time was still to come when Kafka took them, by more than clocks differ.
    ``reread``: how many rows were read again because one beside them was replaced.
    """

    writes: dict[bytes, bytes | None] = field(default_factory=dict)
    outcomes: dict[int, list[str]] = field(default_factory=dict)
    future: dict[int, list[int]] = field(default_factory=dict)
    reread: int = 0


_Arrival = tuple[int, bytes, list[Value]]
"""One row of a batch: where in the batch, its version, and the values that state stores."""

_End = bytes
"""How the row key of an event ends: its time, and its identity columns if the view has some."""

_Event = tuple[int, _End, list[Value]]
"""Event time, end of the row key, and the values that state stores."""


class ViewState:
    """How rows of one view change state; compiled once per view.

    Args:
        view: the view's plan.
    """

    def __init__(self, view: ViewPlan) -> None:
        self.view = view
        self._kinds = [partial.bound() for partial in view.partials]
        names = [column.name for column in view.columns]
        stored = stored_columns(view)
        self._stored = [names.index(name) for name in stored]
        self._partial_columns = [stored.index(partial.column) for partial in view.partials]
        self._finest = view.resolutions[0] if view.resolutions else 0
        self._identity = [names.index(name) for name in view.identity]

    def fold(self, state: Reader, partition_rows: Sequence[tuple[int, Row]], out: Materialization) -> None:
        """Adds the writes of rows of this view.

        Args:
            state: the state before the batch.
            partition_rows: (source partition, row), in log order.
            out: takes the writes.
        """
        outcomes = out.outcomes[self.view.id] = [LATE if self.view.online else OFFLINE_ONLY] * len(partition_rows)
        if not self.view.online:
            return
        arrivals, watermark = self._arrivals(partition_rows, out)
        if self.view.is_aggregate:
            self._aggregate(state, arrivals, outcomes, out)
        else:
            keys = [row_prefix(self.view.id, key) + end for key, _, end in arrivals]
            self._put_rows(keys, state.get_many(keys), list(arrivals.values()), outcomes, out)
        if watermark is not None:
            key = watermark_key(self.view.id)
            before = state.get(key)
            if before is None or decode_number(before) < watermark:
                out.writes[key] = encode(watermark)

    def _arrivals(
        self, partition_rows: Sequence[tuple[int, Row]], out: Materialization
    ) -> tuple[dict[tuple[bytes, int, _End], list[_Arrival]], int | None]:
        """Returns the rows of the batch that are not late by identity, in their order, and the batch's watermark."""
        horizon = self.view.horizon
        stored, identity = self._stored, self._identity
        arrivals: dict[tuple[bytes, int, _End], list[_Arrival]] = {}
        watermark: int | None = None
        for index, (partition, row) in enumerate(partition_rows):
            # Lateness is judged by when Kafka took the record, never by now: a rebuild must judge the same.
            appended = row.append_time * MILLISECOND
            if horizon is not None and row.event_time < appended - horizon:
                continue
            # An event from the future counts but moves no watermark: one wrong clock would make all else old.
            if row.event_time > appended:
                if row.event_time - appended > CLOCKS_DIFFER:
                    out.future.setdefault(self.view.id, []).append(index)
            elif watermark is None or row.event_time > watermark:
                watermark = row.event_time
            version = version_bytes(row.append_time, partition, row.offset, row.index)
            arrival = (index, version, [row.values[column] for column in stored])
            end = time_suffix(row.event_time)
            if identity:
                end += encode_identity([row.values[column] for column in identity])
            arrivals.setdefault((row.key, row.event_time, end), []).append(arrival)
        return arrivals, watermark

    def _put_rows(
        self,
        keys: Sequence[bytes],
        present: Sequence[bytes | None],
        rows: Sequence[Sequence[_Arrival]],
        outcomes: list[str],
        out: Materialization,
    ) -> list[list[Value] | None]:
        """Writes what wins over what is there, and notes what became of each row.

        Each row of an identity is judged as if it had come alone, so that outcomes do not depend on batches.

        Args:
            keys: one for each identity.
            present: what state has there.
            rows: of each identity, in their order.
            outcomes: of the batch; takes those of these rows.
            out: takes the writes.

        Returns:
            by identity the values that are new in state; None where they are what they were.
        """
        changed: list[list[Value] | None] = []
        for key, before, arrivals in zip(keys, present, rows, strict=True):
            now = before
            winner: list[Value] | None = None
            for index, version, values in arrivals:
                # At or above: a row that is read again after a crash has the version that is stored; nothing changes.
                if now is not None and now[:VERSION_BYTES] >= version:
                    outcomes[index] = UNKNOWN if now[:VERSION_BYTES] == version else SUPERSEDED
                    continue
                body = encode(values)
                # A correction that says the same moves the version alone.
                outcomes[index] = NEW if now is None else EQUAL if now[VERSION_BYTES:] == body else REPLACED
                now, winner = version + body, values
            if winner is not None and now is not None:
                out.writes[key] = now
                if before is not None and now[VERSION_BYTES:] == before[VERSION_BYTES:]:
                    winner = None  # no tile is built again for it
            changed.append(winner)
        return changed

    def _aggregate(
        self,
        state: Reader,
        arrivals: Mapping[tuple[bytes, int, _End], Sequence[_Arrival]],
        outcomes: list[str],
        out: Materialization,
    ) -> None:
        view, finest = self.view, self._finest
        prefixes = {key: (row_prefix(view.id, key), tile_prefix(view.id, key)) for key, _, _ in arrivals}
        groups: dict[bytes, list[tuple[int, _End, Sequence[_Arrival]]]] = defaultdict(list)
        owner: dict[bytes, bytes] = {}
        for (key, time, end), rows_of_one in arrivals.items():
            tile_key = prefixes[key][1] + tile_suffix(finest, time - time % finest)
            groups[tile_key].append((time, end, rows_of_one))
            owner[tile_key] = key
        tiles = _read_tiles(state, list(groups))

        # An event newer than all of its tile is a new identity: no read of its row is needed.
        asked: list[bytes] = []
        for tile_key, rows in groups.items():
            tile = tiles[tile_key]
            if tile is not None:
                newest = tile[NEWEST]
                prefix = prefixes[owner[tile_key]][0]
                asked += [prefix + end for time, end, _ in rows if time <= newest]
        found = dict(zip(asked, state.get_many(asked), strict=True)) if asked else {}

        new: dict[bytes, list[_Event]] = defaultdict(list)  # to add, by finest tile
        fresh: dict[bytes, dict[_End, list[Value]]] = defaultdict(dict)  # rows of this batch that count, by key
        dirty: set[tuple[bytes, int]] = set()  # (key, event time) of replaced rows
        for tile_key, rows in groups.items():
            key = owner[tile_key]
            prefix = prefixes[key][0]
            row_keys = [prefix + end for _, end, _ in rows]
            present = [found.get(k) for k in row_keys]
            changed = self._put_rows(row_keys, present, [each for _, _, each in rows], outcomes, out)
            for (time, end, _), before, values in zip(rows, present, changed, strict=True):
                if values is None:
                    continue
                fresh[key][end] = values
                if before is None:
                    new[tile_key].append((time, end, values))
                else:
                    dirty.add((key, time))
        # Grow first: a tile over a replaced row is then written over by the rebuild, which reads all of its rows, those
        # of this batch included. The other way round the replaced value would come back with ``tiles``.
        self._grow_tiles(state, tiles, new, owner, prefixes, out)
        self._rebuild_tiles(state, dirty, fresh, prefixes, out)

    def _grow_tiles(
        self,
        state: Reader,
        tiles: dict[bytes, Tile | None],
        new: Mapping[bytes, list[_Event]],
        owner: Mapping[bytes, bytes],
        prefixes: Mapping[bytes, tuple[bytes, bytes]],
        out: Materialization,
    ) -> None:
        """Adds new rows to the tiles of every resolution, each tile once; rows are lifted once for all of them."""
        lifted = {tile_key: self._lifted(rows) for tile_key, rows in new.items()}
        for tile_key, tile in lifted.items():
            known = tiles[tile_key]
            out.writes[tile_key] = encode(tile if known is None else self._merged([known, tile]))
        for resolution in self.view.resolutions[1:]:
            coarse: dict[bytes, list[Tile]] = defaultdict(list)
            # Only what is new is merged into a coarse tile: partials merge in any order, its finer ones stay unread.
            for tile_key, tile in lifted.items():
                start = time_of(tile_key)
                coarse[prefixes[owner[tile_key]][1] + tile_suffix(resolution, start - start % resolution)].append(tile)
            for tile_key, known in _read_tiles(state, list(coarse)).items():
                parts = coarse[tile_key]
                if known is not None:
                    parts.append(known)
                out.writes[tile_key] = encode(parts[0] if len(parts) == 1 else self._merged(parts))

    def _lifted(self, rows: Sequence[_Event]) -> Tile:
        times = [time for time, _, _ in rows]
        columns = list(zip(*(values for _, _, values in rows), strict=True))
        tile: Tile = [max(times)]
        moments: Sequence[int | bytes] = [end for _, end, _ in rows] if self._identity else times
        tile += [
            kind.lift(moments, columns[column]) for kind, column in zip(self._kinds, self._partial_columns, strict=True)
        ]
        return tile

    def _merged(self, tiles: Sequence[Tile]) -> Tile:
        newest, *partials = zip(*tiles, strict=True)
        merged: Tile = [max(newest)]
        merged += [kind.merge(parts) for kind, parts in zip(self._kinds, partials, strict=True)]
        return merged

    def _rebuild_tiles(
        self,
        state: Reader,
        dirty: set[tuple[bytes, int]],
        fresh: Mapping[bytes, Mapping[_End, list[Value]]],
        prefixes: Mapping[bytes, tuple[bytes, bytes]],
        out: Materialization,
    ) -> None:
        """Computes the tiles over replaced rows anew: the finest from their rows, the others from the tiles within.

        So a correction costs the rows of one finest tile, and a few dozen tiles, however wide the coarsest tile is.
        """
        finest = self._finest
        stale = {(key, time - time % finest) for key, time in dirty}
        for key, start in stale:
            prefix, tiles = prefixes[key]
            low, high = time_suffix(start), time_suffix(start + finest)
            rows = {k[len(prefix) :]: decode_row(value) for k, value in state.scan(prefix + low, prefix + high)}
            out.reread += len(rows)
            rows.update((end, values) for end, values in fresh[key].items() if low <= end < high)
            events = [(time_of(end[:TIME_BYTES]), end, values) for end, values in rows.items()]
            out.writes[tiles + tile_suffix(finest, start)] = encode(self._lifted(events))
        for finer, width in pairwise(self.view.resolutions):
            stale = {(key, start - start % width) for key, start in stale}
            for key, start in stale:
                tiles = prefixes[key][1]
                within = dict(state.scan(tiles + tile_suffix(finer, start), tiles + tile_suffix(finer, start + width)))
                # What this batch grew or rebuilt is not in state yet.
                for each in range(start, start + width, finer):
                    changed = out.writes.get(tiles + tile_suffix(finer, each))
                    if changed is not None:
                        within[tiles + tile_suffix(finer, each)] = changed
                parts = [decode(tile) for tile in within.values()]
                out.writes[tiles + tile_suffix(width, start)] = encode(self._merged(parts))


def _read_tiles(state: Reader, keys: list[bytes]) -> dict[bytes, Tile | None]:
    values = state.get_many(keys)
    return {key: None if value is None else decode(value) for key, value in zip(keys, values, strict=True)}


def materialize(
    views: Mapping[int, ViewState], state: Reader, messages: Sequence[UpdateMessage], next_offset: int
) -> Materialization:
    """Returns what a batch of updates writes to the state of its partition.

    Args:
        views: the views of the current plan, by id; rows of other views change nothing.
        state: the state before the batch.
        messages: at and after the state's offset, in order.
        next_offset: where the partition goes on after the batch.
    """
    out = Materialization()
    rows: dict[int, list[tuple[int, Row]]] = defaultdict(list)
    for message in messages:
        update = message.update
        if update.view in views:
            source_partition = update.source_partition
            rows[update.view] += [(source_partition, row) for row in update.rows]
    # By id, so that the same batch makes the same writes in the same order.
    for view in sorted(rows):
        views[view].fold(state, rows[view], out)
    # In the same write as the rows that it covers: state has both or neither.
    out.writes[NEXT_OFFSET] = encode(next_offset)
    return out
