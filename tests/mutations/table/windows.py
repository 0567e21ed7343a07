"""Windows, and the tiles that make them up."""

from typing import Final

from tests.mutations.mutation import Mutation

MUTATIONS: Final = (
    Mutation(
        name="windows-continuous-leaves-its-edge",
        file="schemas/windows.py",
        old="end = now + 1 - offset",
        new="end = now - offset",
        why="an event of this very microsecond would not count",
        tests=("tests/schemas/test_windows.py::test_bounds",),
    ),
    Mutation(
        name="windows-incomplete-tile-served",
        file="schemas/windows.py",
        old="end = floor(now, interval) - offset",
        new="end = now - offset",
        why="a tiled window would end in the middle of a tile",
        tests=("tests/schemas/test_windows.py::test_bounds",),
    ),
    Mutation(
        name="windows-floor-rounds-towards-zero",
        file="schemas/windows.py",
        old="return instant - instant % step",
        new="return int(instant / step) * step",
        why="tiles before 1970 would begin after their rows",
        tests=("tests/schemas/test_windows.py::test_cover_touches_each_instant_once_with_aligned_tiles",),
    ),
    Mutation(
        name="windows-cover-begins-too-early",
        file="schemas/windows.py",
        old="-(-start // width) * width, floor(end, width)",
        new="floor(start, width), floor(end, width)",
        why="a window would count what lies before it",
        tests=("tests/schemas/test_windows.py::test_cover_touches_each_instant_once_with_aligned_tiles",),
    ),
    Mutation(
        name="windows-cover-empty-piece",
        file="schemas/windows.py",
        old=("        if first < last:\n"),
        new=("        if first <= last:\n"),
        why="LOST comparison: each window would be read in empty pieces as well",
        tests=("tests/schemas/test_windows.py::test_cover_touches_each_instant_once_with_aligned_tiles",),
    ),
    Mutation(
        name="windows-budget-counts-one-side",
        file="schemas/windows.py",
        old="sum(2 * (b // a - 1) for a, b",
        new="sum((b // a - 1) for a, b",
        why="a read could touch twice the tiles that it may",
        tests=("tests/schemas/test_windows.py::test_cover_never_takes_more_tiles_than_the_budget_says",),
    ),
    Mutation(
        name="windows-budget-lost-comparison",
        file="schemas/windows.py",
        old="if worst_tiles(longest, best) <= MAX_TILES_READ:",
        new="if worst_tiles(longest, best) < MAX_TILES_READ:",
        why="LOST comparison: a view would write a resolution more than it needs",
        tests=("tests/schemas/test_windows.py::test_as_few_resolutions_as_do",),
    ),
)
