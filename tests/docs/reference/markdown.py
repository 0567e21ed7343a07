"""Pieces of Markdown."""

from collections.abc import Iterable, Sequence


def code(text: object) -> str:
    """Returns a text as code."""
    return f"`{text}`"


def codes(texts: Iterable[object]) -> str:
    """Returns texts as code, joined by commas."""
    return ", ".join(map(code, texts))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Returns the lines of a table; a line break in a cell is a space."""
    ruled = ["|".join(["", *("---" for _ in heads), ""])]
    return [_row(heads), *ruled, *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def page(title: str, made_of: str, lines: Iterable[str]) -> str:
    """Returns a page; `made_of` names the module that says what stands on it."""
    note = f"This page is made of {code(made_of)} by `make reference`."
    return "\n".join([f"# {title}", "", note, "", *lines]) + "\n"
