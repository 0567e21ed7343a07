"""Where results go: ``bench/results.json`` and the tables of ``docs/benchmarks.md``.

Invariant: running one benchmark replaces its own results and leaves those of the others; everything outside the markers
of the page is left as it was written.

In the page, the results of benchmark NAME stand between ``<!-- bench NAME -->`` and ``<!-- end NAME -->``.
"""

import platform
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import psutil

from bench.figures import Figure, Results, Table

ROOT: Final = Path(__file__).resolve().parent.parent
RESULTS_FILE: Final = ROOT / "bench" / "results.json"
PAGE: Final = ROOT / "docs" / "benchmarks.md"

_GIB: Final = 1024**3
_EXACT_FROM: Final = 1_000
"""Numbers as large as this are shown without a fraction."""

_encode: Final = msgspec.json.Encoder(order="deterministic").encode


class Entry(msgspec.Struct, frozen=True):
    """One figure in ``results.json``; ``value`` is the median of ``runs`` runs between ``least`` and ``greatest``."""

    name: str
    value: float
    unit: str
    target: str | None
    met: bool | None
    machine: str
    date: str
    benchmark: str
    least: float
    greatest: float
    runs: int


def machine() -> str:
    """Returns what this machine is, without naming it."""
    model = _cpu_model()
    memory = psutil.virtual_memory().total / _GIB
    python, kernel = platform.python_version(), platform.release().partition("-")[0]
    return f"{psutil.cpu_count()} × {model}, {memory:.0f} GiB, {platform.system()} {kernel}, Python {python}"


def _cpu_model() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def entries(benchmark: str, results: Results) -> list[Entry]:
    """Returns the entries of a benchmark's figures, dated now."""
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return [
        Entry(
            name=figure.name,
            value=_rounded(figure.value),
            unit=figure.unit,
            target=_target(figure),
            met=figure.met,
            machine=machine(),
            date=date,
            benchmark=benchmark,
            least=_rounded(min(figure.runs)),
            greatest=_rounded(max(figure.runs)),
            runs=len(figure.runs),
        )
        for figure in results.figures
    ]


def merge(known: Sequence[Entry], benchmark: str, new: Sequence[Entry]) -> list[Entry]:
    """Returns all entries after a benchmark was run: its own are replaced, in place if it had some."""
    before = [entry for entry in known if entry.benchmark != benchmark]
    first = next((i for i, entry in enumerate(known) if entry.benchmark == benchmark), len(before))
    return [*before[:first], *new, *before[first:]]


def save(benchmark: str, results: Results) -> None:
    """Writes a benchmark's results to both files."""
    known = msgspec.json.decode(RESULTS_FILE.read_bytes(), type=list[Entry]) if RESULTS_FILE.exists() else []
    new = entries(benchmark, results)
    RESULTS_FILE.write_bytes(msgspec.json.format(_encode(merge(known, benchmark, new)), indent=2) + b"\n")
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), benchmark, section(benchmark, new, results)), "utf-8")


def replaced(page: str, benchmark: str, text: str) -> str:
    """Returns the page with another text between a benchmark's markers, which are added at the end if it has none."""
    begin, end = f"<!-- bench {benchmark} -->", f"<!-- end {benchmark} -->"
    block = f"{begin}\n{text}{end}"
    if begin not in page:
        return f"{page.rstrip()}\n\n{block}\n"
    before, _, rest = page.partition(begin)
    return before + block + rest.partition(end)[2]


def section(benchmark: str, found: Sequence[Entry], results: Results) -> str:
    """Returns the text between a benchmark's markers."""
    rows = [_row(entry) for entry in found]
    parts = [*markdown(["figure", "median", "least … greatest", "unit", "target", "met"], rows)]
    made = (
        f"Made by `python -m bench {benchmark}` (`bench/{benchmark}.py`) on {found[0].date[:10]}: {found[0].machine}."
    )
    parts += ["", made]
    if results.notes:
        parts += ["", results.notes]
    for table in results.tables:
        parts += ["", f"**{table.title}**", "", *markdown(table.header, table.rows)]
    return "\n".join(parts) + "\n"


def _row(entry: Entry) -> list[str]:
    spread = f"{number(entry.least)} … {number(entry.greatest)}" if entry.runs > 1 else "one run"
    met = "" if entry.met is None else "yes" if entry.met else "**no**"
    return [entry.name, number(entry.value), spread, entry.unit, entry.target or "", met]


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yields the lines of a table; all columns but the first are set to the right."""
    yield f"| {' | '.join(header)} |"
    yield "|".join(["", "---", *["---:"] * (len(header) - 1), ""])
    for row in rows:
        yield f"| {' | '.join(row)} |"


def plain(table: Table) -> str:
    """Returns a table for a terminal."""
    lines = [table.header, *table.rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.header))]
    shown = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    return "\n".join([table.title, *shown])


def figures_table(benchmark: str, results: Results) -> Table:
    """Returns a benchmark's figures for a terminal."""
    rows = [_row(entry) for entry in entries(benchmark, results)]
    return Table(benchmark, ["figure", "median", "least … greatest", "unit", "target", "met"], rows)


def number(value: float) -> str:
    """Returns a number with as many digits as help a reader."""
    if value == int(value) or abs(value) >= _EXACT_FROM:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _target(figure: Figure) -> str | None:
    return None if figure.target is None else f"{figure.target.sign} {number(figure.target.bound)}"


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")
