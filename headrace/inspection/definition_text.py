"""Where a repository defines a source, a view or a service, and the lines that do.

Invariant: the repository's texts are read, never run. What is made by code whose name or version no text shows is not
found, rather than guessed.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

from schemas.definitions.objects import DEFAULT_VERSION

Maker = Literal["StreamSource", "stream_feature_view", "FeatureService"]

_LINES: Final = re.compile(r"\r\n|\r|\n")
"""What ends a line for Python; ``splitlines`` knows more, and would count otherwise."""


class Definition(NamedTuple):
    """Lines of a file of a repository; ``line`` is the number of the first."""

    path: str
    line: int
    text: str


def definition_of(files: Mapping[str, str], maker: Maker, name: str, version: str = "") -> Definition | None:
    """Returns the lines that define an object; None where no text shows its name.

    Args:
        files: the repository's texts by path.
        maker: what makes such objects.
        name: of the object.
        version: of a view; empty for what has none.
    """
    for path in sorted(path for path in files if path.endswith(".py")):
        try:
            tree = ast.parse(files[path])
        except (SyntaxError, ValueError, RecursionError):  # of a later Python, perhaps
            continue
        makers = {maker, *_aliases(tree, maker)}
        for node in ast.walk(tree):
            for call, named in _calls(node):
                if _callee(call) in makers and _is_of(call, named, name, version):
                    return _cut(path, files[path], node)
    return None


def _aliases(tree: ast.Module, maker: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (alias.asname for alias in node.names if alias.name == maker and alias.asname is not None)


def _calls(node: ast.AST) -> Iterator[tuple[ast.Call, str | None]]:
    """Yields the calls of a statement that may make an object, and the name that it has if the call gives none."""
    if isinstance(node, ast.FunctionDef):
        yield from ((each, node.name) for each in node.decorator_list if isinstance(each, ast.Call))
    elif isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr | ast.Return):
        yield from ((each, None) for each in ast.walk(node) if isinstance(each, ast.Call))


def _callee(call: ast.Call) -> str | None:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else None


def _is_of(call: ast.Call, named: str | None, name: str, version: str) -> bool:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    found = _text(given["name"]) if "name" in given else named
    if not version:
        return found == name
    return (found, _text(given["version"]) if "version" in given else DEFAULT_VERSION) == (name, version)


def _text(value: ast.expr) -> str | None:
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None


def _cut(path: str, text: str, node: ast.AST) -> Definition:
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else []
    first = min([getattr(node, "lineno", 1), *(each.lineno for each in decorators)])
    lines = _LINES.split(text)[first - 1 : getattr(node, "end_lineno", first)]
    return Definition(path, first, "\n".join(lines))
