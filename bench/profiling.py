"""Where a process's main thread spends its time, by cProfile.

Invariant: paths in the tables are relative to the repository or to the library; no machine shows.
"""

import pstats
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

from bench.figures import Table
from bench.harness import ROOT

ROWS: Final = 30
LEAST_OWN: Final = 0.5  # µs each, for what is not Headrace's own code
PACKAGES: Final = ("schemas/", "processors/", "serving/", "access/", "infra/")
_DRIVERS: Final = ("click/", "faust/", "mode/", "runpy", "asyncio/")
"""Libraries that merely call or wait."""

_LIBRARIES: Final = ("site-packages/", "dist-packages/")
_STARTING: Final = (
    *("<module>", "<frozen", "__import__", "__build_class__", "exec", "compile", "dynamic"),
    *("with_settings", "load_settings"),
)
"""Parts of the names of what runs while a process starts."""


def profiled(argv: Sequence[str], statistics: Path) -> list[str]:
    """Returns the command that runs ``python -m MODULE …`` under cProfile and writes its statistics when it ends."""
    python, *rest = argv
    return [python, "-m", "cProfile", "-o", str(statistics), *rest]


def profile_table(statistics: Path, title: str, each: str, count: int) -> Table:
    """Returns where the time went, longest first: functions of Headrace, and others that took long themselves.

    Args:
        statistics: file of cProfile.
        title: of the table.
        each: what times are divided by, e.g. ``event``.
        count: how many of them there were.
    """
    found = cast("Any", pstats.Stats(str(statistics))).stats
    rows = []
    for (file, line, function), (_, calls, own, total, _) in found.items():
        where = _where(file, line)
        own_micros = own * 1e6 / count
        if where is None or any(part in function for part in _STARTING):
            continue
        if where.startswith(PACKAGES) or own_micros >= LEAST_OWN:
            rows.append((total * 1e6 / count, own_micros, calls / count, f"`{where}` {function}"))
    rows.sort(reverse=True)
    shown = [[name, f"{calls:.2f}", f"{own:.1f}", f"{total:.1f}"] for total, own, calls, name in rows[:ROWS]]
    return Table(title, ["function", f"calls/{each}", f"own µs/{each}", f"cumulative µs/{each}"], shown)


def _where(file: str, line: int) -> str | None:
    """Returns where a function is, or None for what only drives the process."""
    path = Path(file)
    for marker in _LIBRARIES:
        if marker in file:
            relative = file.partition(marker)[2]
            return None if relative.startswith(_DRIVERS) else f"{relative}:{line}"
    if path.is_relative_to(ROOT):
        relative = str(path.relative_to(ROOT))
        return f"{relative}:{line}" if relative.startswith(PACKAGES) else None
    return "built-in" if file == "~" else None
