"""Where a window begins and ends, and which tiles and rows make it up.

Invariant: ``cover`` splits ``[start, end)`` into pieces that touch each instant exactly once.

All instants and lengths are integers, µs since 1970-01-01 UTC; all ranges are half-open. Rules:
Rule DF-4: tiled windows end at the last complete tile; continuous ones are ``(now - w, now]``,
which in whole µs is ``[now - w + 1, now + 1)``; offsets shift both ends.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from schemas.instants import DAY, HOUR, MINUTE, SECOND
from schemas.limits import MAX_RESOLUTIONS, MAX_TILES_READ

_MAX_FACTOR: Final = MAX_TILES_READ // 2 + 1
"""Between two widths: with more, the finer tiles at both ends alone break the budget."""

_STEPS: Final = (MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, 12 * HOUR, DAY)

_CONTINUOUS_TILES: Final = 10
"""That the shortest continuous window holds, at least."""


class Piece(NamedTuple):
    """A part of a window: whole tiles of one resolution, or rows where ``resolution`` is 0."""

    resolution: int
    start: int
    end: int


def floor(instant: int, step: int) -> int:
    """Returns the last multiple of ``step`` at or before an instant."""
    return instant - instant % step


def tiled_bounds(now: int, window: int, offset: int, interval: int) -> tuple[int, int]:
    """Returns the bounds of a tiled window whose leading edge is ``now``."""
    end = floor(now, interval) - offset
    return end - window, end


def continuous_bounds(now: int, window: int, offset: int) -> tuple[int, int]:
    """Returns the bounds of a continuous window whose leading edge is ``now``."""
    end = now + 1 - offset
    return end - window, end


def worst_tiles(window: int, resolutions: Sequence[int]) -> int:
    """Returns the greatest number of tiles that a window of this length may touch."""
    coarsest = resolutions[-1]
    sides = sum(2 * (b // a - 1) for a, b in pairwise(resolutions))
    return window // coarsest + sides


def choose_resolutions(interval: int, windows: Iterable[int]) -> tuple[int, ...]:
    """Returns the fewest tile widths, each a multiple of the one before, that keep every window within its budget.

    Raises:
        ValueError: even five are not enough; the interval is too short for the window.
    """
    longest = max(windows)
    for levels in range(MAX_RESOLUTIONS):
        best = min(_ladders(interval, longest, levels), key=lambda ladder: worst_tiles(longest, ladder))
        if worst_tiles(longest, best) <= MAX_TILES_READ:
            return best
    raise ValueError(f"a window of {longest // SECOND} s is too long for tiles of {interval / SECOND} s")


def _ladders(interval: int, longest: int, levels: int) -> Iterable[tuple[int, ...]]:
    if levels == 0:
        yield (interval,)
        return
    ideal = (longest / interval) ** (1 / (levels + 1))
    for factor in range(2, max(3, min(int(2 * ideal) + 2, _MAX_FACTOR + 1))):
        yield tuple(interval * factor**level for level in range(levels + 1))


def continuous_interval(windows: Iterable[int]) -> int:
    """Returns the width of the finest tiles behind continuous windows; at least a minute."""
    shortest = min(windows)
    return max((step for step in _STEPS if step * _CONTINUOUS_TILES <= shortest), default=MINUTE)


def cover(start: int, end: int, resolutions: Sequence[int]) -> list[Piece]:
    """Splits ``[start, end)`` into whole tiles, the coarsest that fit, and rows at ragged edges.

    Args:
        start: first instant.
        end: first instant behind.
        resolutions: tile widths, ascending, each a multiple of the one before.
    """
    if start >= end:
        return []
    for index in range(len(resolutions) - 1, -1, -1):
        width = resolutions[index]
        first, last = -(-start // width) * width, floor(end, width)
        if first < last:
            finer = resolutions[:index]
            return [*cover(start, first, finer), Piece(width, first, last), *cover(last, end, finer)]
    return [Piece(0, start, end)]
