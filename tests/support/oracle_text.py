"""What the text of a view says, read without the compiler: the windows and horizons that the oracle judges by.

A text is the options of ``stream_feature_view`` as a repository writes them. Rules: README and ``docs/design.md`` ("One
horizon per view"), ``docs/decisions/0004`` (how wide tiles are). Lengths are whole µs.
"""

import ast
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from tests.support.oracle import Feature, View

SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
DEFAULT_GRACE = timedelta(days=7)
TILE_BUDGET = 128
CONTINUOUS_TILES = (DAY, 12 * HOUR, 6 * HOUR, 2 * HOUR, HOUR, 30 * MINUTE, 10 * MINUTE, 5 * MINUTE, 2 * MINUTE, MINUTE)


def micros(duration: timedelta) -> int:
    """Returns a duration in µs."""
    return duration // timedelta(microseconds=1)


def view_of_text(text: str, number: int, columns: Sequence[str]) -> View:
    """Returns the view that options describe.

    Args:
        text: keyword arguments, e.g. ``aggregation_interval=..., features=[Aggregate(...), ...]``.
        number: the view's id.
        columns: what an attribute view serves.
    """
    return _view(eval(f"dict({text})", {**NAMES}), number, columns)  # noqa: S307 - the tests' own text


def views_of_module(text: str, ids: Mapping[str, int], columns: Sequence[str]) -> dict[int, View]:
    """Returns the views that a module of a repository defines, by id.

    Args:
        text: the module; plain assignments may be used in the views' options.
        ids: of its views, by name.
        columns: what attribute views serve.
    """
    known: dict[str, Any] = {**NAMES}
    views = {}
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Assign):
            with suppress(NameError):  # sources and entities, which no option but their own argument uses
                exec(ast.unparse(statement), known)  # noqa: S102 - the tests' own text
        elif isinstance(statement, ast.FunctionDef):
            (call,) = statement.decorator_list
            assert isinstance(call, ast.Call)
            given = [each for each in call.keywords if each.arg not in {"source", "entities", "timestamp_field"}]
            options = eval(f"dict({', '.join(map(ast.unparse, given))})", known)  # noqa: S307 - the tests' own text
            number = ids[statement.name]
            views[number] = _view(options, number, columns)
    return views


def _view(options: dict[str, Any], number: int, columns: Sequence[str]) -> View:
    features = options.get("features") or [Feature(column, column) for column in columns]
    ttl, interval = options.get("ttl"), micros(options.get("aggregation_interval", timedelta()))
    return View(
        number,
        tuple(sorted(features, key=lambda feature: feature.name)),
        interval,
        _horizon(features, interval, micros(options.get("grace", DEFAULT_GRACE))) if "features" in options else None,
        None if ttl is None else micros(ttl),
    )


def _feature(
    function: str,
    column: str,
    window: timedelta,
    *,
    offset: timedelta = timedelta(),
    name: str | None = None,
    **parameters: Any,
) -> Feature:
    """Stands for ``Aggregate``. Features without a name sort by their parts, as default names do in these tests."""
    length = micros(window)
    name = name or f"{column}_{function}_{length:020}"
    return Feature(name, column, function, length, micros(offset), tuple(parameters.items()))


NAMES: dict[str, Any] = {"timedelta": timedelta, "Aggregate": _feature}


def _horizon(features: Sequence[Feature], interval: int, grace: int) -> int:
    shortest, longest = min(f.window for f in features), max(f.window for f in features)
    finest = interval or next((tile for tile in CONTINUOUS_TILES if 10 * tile <= shortest), MINUTE)
    return max(f.window + f.offset for f in features) + _coarsest(finest, longest) + grace


def _coarsest(finest: int, longest: int) -> int:
    """Returns the coarsest of the fewest, evenly spaced widths with which a window needs at most 128 tiles."""
    levels = 0
    while True:
        # Whole coarsest tiles in the middle; at each level, on both sides, all but one of the next level's parts.
        factors = range(2, longest // finest + 3) if levels else [1]
        needed = {f: longest // (finest * f**levels) + levels * 2 * (f - 1) for f in factors}
        best = min(needed, key=lambda f: (needed[f], f))
        if needed[best] <= TILE_BUDGET:
            return int(finest * best**levels)
        levels += 1
