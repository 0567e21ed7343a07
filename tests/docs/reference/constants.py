"""Reads tables that are modules of constants, each with a text of its own (`schemas.limits`)."""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

TITLE = re.compile(r"# (.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """An entry of such a table.

    Attributes:
        name: the constant's.
        value: the constant's.
        title: of the section it stands in: the comment that stood by itself last, or nothing.
        paragraphs: of its text, each in one line.
    """

    name: str
    value: Any
    title: str
    paragraphs: tuple[str, ...]

    def paragraph(self, label: str) -> str:
        """Returns the paragraph that begins with a label and a colon, without these; nothing if there is none."""
        return next((each.removeprefix(f"{label}: ") for each in self.paragraphs if each.startswith(f"{label}: ")), "")


def constants(module: ModuleType) -> Iterator[Constant]:
    """Yields the public constants of a module in its order, those without a text too."""
    source = inspect.getsource(module)
    lines = source.splitlines()
    body = ast.parse(source).body
    seen, title = 0, ""
    for statement, following in zip(body, [*body[1:], None], strict=True):
        for line in lines[seen : statement.lineno - 1]:
            if found := TITLE.fullmatch(line):
                title = found[1]
        seen = statement.end_lineno or seen
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name)) if name.isupper() and not name.startswith("_"):
                yield Constant(name=name, value=getattr(module, name), title=title, paragraphs=_text(following))


def _text(statement: ast.stmt | None) -> tuple[str, ...]:
    match statement:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return tuple(" ".join(each.split()) for each in inspect.cleandoc(text).split("\n\n"))
    return ()
