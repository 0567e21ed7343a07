"""What the demo shows: progress while it runs, then one table of what happened and a few feature vectors.

Invariant: every figure is of this run.
"""

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from examples.flights.reads import Reading

PERCENTILES: Final = (50, 95, 99)
MAX_DIFFERENCES: Final = 20
VECTORS: Final = 3
MIN_WIDTH: Final = 110
"""Columns that the tables need; fewer than that only where the terminal is narrower."""


def make_console() -> Console:
    """Returns the console; into a file or a pipe it writes lines that are wide enough."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=MIN_WIDTH)


def make_progress(console: Console) -> Progress:
    """Returns bars that show what is done of how much."""
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def facts_table(rows: Sequence[tuple[str, str]]) -> Table:
    """Returns a table of names and figures."""
    table = Table(title="Flights", title_justify="left", show_header=False)
    for name, text in rows:
        table.add_row(name, text)
    return table


def times_table(rows: Sequence[tuple[str, Sequence[float]]]) -> Table:
    """Returns a table of percentiles, in ms, of times in seconds."""
    table = Table(title="Times in ms", title_justify="left")
    table.add_column("")
    for name in (*(f"p{percent}" for percent in PERCENTILES), "max", "of"):
        table.add_column(name, justify="right")
    for name, seconds in rows:
        figures = [f"{percentile(seconds, percent) * 1000:.1f}" for percent in (*PERCENTILES, 100)] if seconds else []
        table.add_row(name, *(figures or ["–"] * (len(PERCENTILES) + 1)), f"{len(seconds):,}")
    return table


def show_end(console: Console, problems: Sequence[str]) -> None:
    """Prints what is wrong, if anything is, and the last line."""
    for problem in problems[:MAX_DIFFERENCES]:
        console.print(problem, markup=False)
    if len(problems) > MAX_DIFFERENCES:
        console.print(f"… and {len(problems) - MAX_DIFFERENCES:,} more")
    console.print("demo: failed" if problems else "demo: ok")


def vectors_table(readings: Sequence[Reading]) -> Table:
    """Returns the fullest feature vectors, one in each column."""
    shown = sorted(readings, key=lambda reading: sum(each.value is None for each in reading.features))[:VECTORS]
    table = Table(title="Feature vectors", title_justify="left")
    table.add_column("feature", no_wrap=True, min_width=max(len(each.name) for each in shown[0].features))
    for reading in shown:
        table.add_column("\n".join(reading.keys.values()))
    for features in zip(*(reading.features for reading in shown), strict=True):
        table.add_row(features[0].name, *(_text(each.value) for each in features))
    return table


def percentile(values: Sequence[float], percent: int) -> float:
    """Returns the least value that so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "–" if value is None else str(value)
