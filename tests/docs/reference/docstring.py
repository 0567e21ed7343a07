"""Reads docstrings of what users import (Google style), for pages of the reference."""

import inspect
import re
from dataclasses import dataclass
from typing import Any

SECTION = re.compile(r"^(Args|Attributes|Raises|Example):$", re.MULTILINE)
ENTRY = re.compile(r"^(\w+): (.*(?:\n +.*)*)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Docstring:
    """A docstring, in Markdown.

    Attributes:
        paragraphs: of its text before any section, each in one line.
        entries: of ``Args`` or ``Attributes``, by name.
        errors: of ``Raises``, by name.
        example: code; nothing if there is none.
    """

    paragraphs: tuple[str, ...]
    entries: dict[str, str]
    errors: dict[str, str]
    example: str


def docstring(thing: Any) -> Docstring:
    """Returns the docstring of a class or function."""
    text, *rest = SECTION.split(inspect.cleandoc(thing.__doc__))
    sections = {title: inspect.cleandoc(body) for title, body in zip(rest[::2], rest[1::2], strict=True)}
    return Docstring(
        paragraphs=tuple(map(_line, text.strip().split("\n\n"))),
        entries=_entries(sections.get("Args", sections.get("Attributes", ""))),
        errors=_entries(sections.get("Raises", "")),
        example=sections.get("Example", ""),
    )


def _entries(section: str) -> dict[str, str]:
    return {name: _line(text) for name, text in ENTRY.findall(section)}


def _line(text: str) -> str:
    return " ".join(text.split()).replace("``", "`")
