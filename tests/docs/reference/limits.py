"""The page of limits, made of `schemas.limits`."""

import re
from collections.abc import Iterator
from itertools import groupby

from schemas import limits
from tests.docs.reference.constants import Constant, constants
from tests.docs.reference.markdown import code, page, table

BEYOND = "Beyond it"
STEPS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def limits_page() -> str:
    """Returns the page."""
    return page("Limits", "schemas/limits.py", _lines())


def _lines() -> Iterator[str]:
    yield "These are constants, not settings: writers and readers must agree on them, across processes and hosts."
    yield "What a code means says the page of [error codes](error-codes.md)."
    for title, entries in groupby(constants(limits), key=lambda entry: entry.title):
        yield from ["", f"## {title}", ""]
        yield from table(["limit", "is", "of what", "beyond it"], map(_row, entries))


def _row(entry: Constant) -> list[str]:
    why = [each for each in entry.paragraphs[1:] if not each.startswith(BEYOND)]
    return [code(entry.name), amount(entry), " ".join([entry.paragraphs[0], *why]), entry.paragraph(BEYOND)]


def amount(entry: Constant) -> str:
    """Returns a limit's value in the unit that its name ends in."""
    unit = re.sub(r".*_", "", entry.name).lower()
    if unit == "bytes":
        factor, unit = next((step for step in STEPS if not entry.value % step[0]), (1, "bytes"))
        return f"{entry.value // factor:,} {unit}"
    number = f"{entry.value:,}".removesuffix(".0")
    if unit not in {"characters", "seconds", "days"}:
        return number
    return f"{number} {unit.removesuffix('s') if entry.value == 1 else unit}"
