"""Tables on the screen, and wide ones where the output is no terminal.

Invariant: text is shown as it is: nothing in it is taken for markup, a colour or an emoji. What a terminal would take
for commands is escaped in cells, since values come from records.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from infra.log_text import printable

PIPE_WIDTH: Final = 200
"""Columns of tables where the output is no terminal."""


def console() -> Console:
    """Returns the console of stdout."""
    shown = Console(highlight=False, markup=False, emoji=False)
    return shown if shown.is_terminal else Console(highlight=False, markup=False, emoji=False, width=PIPE_WIDTH)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Returns a table without lines; numbers stand at the right and are never folded, long texts are."""
    cells = [[_cell(value) for value in row] for row in rows]
    numeric = [bool(cells) and all(cell.is_number for cell in column) for column in zip(*cells, strict=True)]
    made = Table(box=None)
    for index, head in enumerate(heads):
        is_number = bool(numeric) and numeric[index]
        made.add_column(head, justify="right" if is_number else "left", overflow="fold", no_wrap=is_number)
    for row in cells:
        made.add_row(*(cell.text for cell in row))
    return made


def printed(value: object) -> str:
    """Returns a value as a cell shows it: numbers with separators, lists joined by commas, None as nothing."""
    return _cell(value).text


class _Cell:
    def __init__(self, text: str, *, is_number: bool = False) -> None:
        self.text = text
        self.is_number = is_number


def _cell(value: object) -> _Cell:
    if value is None:
        return _Cell("", is_number=True)  # beside numbers as beside text
    if isinstance(value, bool):
        return _Cell("yes" if value else "no")
    if isinstance(value, int):
        return _Cell(f"{value:,}", is_number=True)
    if isinstance(value, list | tuple):
        return _Cell(", ".join(map(printed, value)))
    return _Cell(printable(str(value)))
