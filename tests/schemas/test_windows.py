from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import windows
from schemas.instants import DAY, HOUR, MINUTE, SECOND
from schemas.limits import MAX_RESOLUTIONS, MAX_TILES_READ
from schemas.windows import (
    Piece,
    choose_resolutions,
    continuous_bounds,
    continuous_interval,
    cover,
    floor,
    tiled_bounds,
    worst_tiles,
)
from tests.support.histories import examples

LADDERS = st.lists(st.integers(2, 6), max_size=4).flatmap(
    lambda factors: st.integers(1, 7).map(lambda finest: _ladder(finest, factors))
)


def _ladder(finest: int, factors: list[int]) -> list[int]:
    widths = [finest]
    for factor in factors:
        widths.append(widths[-1] * factor)
    return widths


@given(st.integers(-3000, 3000), st.integers(0, 6000), LADDERS)
@examples(300)
def test_cover_touches_each_instant_once_with_aligned_tiles(start: int, length: int, resolutions: list[int]) -> None:
    pieces = sorted(cover(start, start + length, resolutions), key=lambda piece: piece.start)
    assert all(piece.start < piece.end for piece in pieces)
    assert [piece.start for piece in pieces] == [start, *(piece.end for piece in pieces)][: len(pieces)]
    assert (pieces[-1].end if pieces else start) == start + length
    for piece in pieces:
        if piece.resolution:
            assert piece.resolution in resolutions
            assert piece.start % piece.resolution == piece.end % piece.resolution == 0


@given(st.integers(-3000, 3000), st.integers(1, 6000), LADDERS)
@examples(300)
def test_cover_never_takes_more_tiles_than_the_budget_says(start: int, length: int, resolutions: list[int]) -> None:
    pieces = cover(start, start + length, resolutions)
    tiles = sum((piece.end - piece.start) // piece.resolution for piece in pieces if piece.resolution)
    assert tiles <= worst_tiles(length, resolutions)
    rows = [piece for piece in pieces if not piece.resolution]
    assert all(piece.end - piece.start < 2 * resolutions[0] for piece in rows)
    assert len(rows) <= 2


def test_cover_of_nothing_is_nothing() -> None:
    assert cover(5, 5, (1,)) == []
    assert cover(1, 9, (100,)) == [Piece(0, 1, 9)]


@given(
    st.sampled_from((MINUTE, 5 * MINUTE, 7 * MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, DAY)) | st.integers(MINUTE, DAY),
    st.lists(st.integers(1, 365 * DAY), min_size=1, max_size=4),
)
@examples(60)
def test_every_window_up_to_a_year_has_resolutions_from_a_minute_up(interval: int, lengths: list[int]) -> None:
    windows = [max(interval, length - length % interval) for length in lengths]
    resolutions = choose_resolutions(interval, windows)
    assert resolutions[0] == interval
    assert len(resolutions) <= MAX_RESOLUTIONS
    assert all(coarse % fine == 0 and coarse > fine for fine, coarse in pairwise(resolutions))
    assert max(worst_tiles(window, resolutions) for window in windows) <= MAX_TILES_READ


@given(st.integers(1, 59), st.integers(1, 30 * 24 * 3600))
@examples(60)
def test_windows_of_shorter_intervals_keep_the_budget_or_are_refused(seconds: int, tiles: int) -> None:
    window = seconds * SECOND * tiles
    try:
        resolutions = choose_resolutions(seconds * SECOND, [window])
    except ValueError:
        assert tiles > 500_000
    else:
        assert worst_tiles(window, resolutions) <= MAX_TILES_READ


def test_as_few_resolutions_as_do() -> None:
    assert choose_resolutions(MINUTE, [128 * MINUTE]) == (MINUTE,)
    assert len(choose_resolutions(MINUTE, [129 * MINUTE])) == 2


def test_a_window_too_long_for_its_tiles_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a window of 31536000 s is too long for tiles of 1.0 s"):
        choose_resolutions(SECOND, [365 * DAY])


def test_a_hopeless_interval_is_refused_without_trying_millions_of_widths(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def counted(window: int, resolutions: Sequence[int]) -> int:
        tried.append(window)
        return worst_tiles(window, resolutions)

    monkeypatch.setattr(windows, "worst_tiles", counted)
    with pytest.raises(ValueError, match="too long for tiles of 1e-06 s"):
        choose_resolutions(1, [365 * DAY])
    assert len(tried) < 1_000


@pytest.mark.parametrize(
    ("shortest", "expected"),
    [(1, MINUTE), (10 * MINUTE, MINUTE), (HOUR, 5 * MINUTE), (7 * DAY, 12 * HOUR), (365 * DAY, DAY)],
)
def test_tiles_behind_continuous_windows_follow_the_shortest(shortest: int, expected: int) -> None:
    assert continuous_interval([shortest, 365 * DAY]) == expected


def test_floor_goes_down_below_the_epoch_too() -> None:
    assert [floor(instant, 10) for instant in (-11, -10, -1, 0, 9, 10)] == [-20, -10, -10, 0, 0, 10]


def test_bounds() -> None:
    assert tiled_bounds(125, 20, 10, 10) == (90, 110)
    assert continuous_bounds(125, 20, 10) == (96, 116)
