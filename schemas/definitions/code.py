"""The digest of all the code of a repository that a view's function reaches.

Invariant: while the digest stays, the function computes the same; what it does not reach (comments, docstrings, layout,
other views and what only they use) does not count.

Code is followed by name: from the function to the statements at the top of its module that bind or change the names it
mentions, from those to theirs, and through imports into the repository's other modules. A function that is made inside
another one depends on values that no text shows, so it counts with every module. Not seen: what runs under no name that
the function's code mentions, such as a decorator of an unmentioned function that fills a table.
"""

import ast
import hashlib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from types import FunctionType

from schemas.errors import DefinitionError


def code_digest(function: object, modules: Mapping[str, str]) -> str:
    """Returns the SHA-256 of what a view's function reaches, in hexadecimal; the same for every version of Python.

    Args:
        function: the function, as its module made it.
        modules: the text of each module of the repository by dotted name; a package's is that of its ``__init__``.

    Raises:
        DefinitionError: it is not a function made by a plain ``def`` in one of the modules; says so without its name.
    """
    if not isinstance(function, FunctionType) or function.__name__ == "<lambda>" or _is_async(function):
        raise DefinitionError("the function must be a plain def; a lambda or an async def cannot be a view")
    module = function.__module__
    if module not in modules:
        raise DefinitionError(f"the function comes from {module!r}; write it with def in a module of the repository")
    reach = _Reach(modules)
    own = reach.find(function)
    if own is None:
        for name in sorted(modules):
            reach.take_all(name)
    else:
        reach.follow(module, [own.args, *own.body])
    text = "\n".join([function.__qualname__, "" if own is None else _form([own.args, own.body]), *reach.forms()])
    return hashlib.sha256(text.encode()).hexdigest()


def _is_async(function: FunctionType) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


class _Reach:
    """What was reached so far: statements at the top of modules, by number, and names that were imported."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._trees = {name: ast.parse(text).body for name, text in modules.items()}
        self._statements: set[tuple[str, int]] = set()
        self._names: set[tuple[str, str]] = set()
        self._imports: set[str] = set()

    def find(self, function: FunctionType) -> ast.FunctionDef | None:
        """Returns the statement at the top of its module that made a function; None where there is none."""
        for statement in self._trees[function.__module__]:
            if isinstance(statement, ast.FunctionDef) and statement.name == function.__name__:
                first = statement.decorator_list[0] if statement.decorator_list else statement
                if first.lineno == function.__code__.co_firstlineno:
                    return statement
        return None

    def forms(self) -> Iterator[str]:
        """Yields all that was reached, in an order that does not depend on the way there."""
        yield from sorted(self._imports)
        for module, number in sorted(self._statements):
            yield _form([self._trees[module][number]])

    def follow(self, module: str, nodes: Iterable[ast.AST]) -> None:
        """Takes what code of a module mentions."""
        for node in nodes:
            for part in ast.walk(node):
                # Local names count too, if the module has one like it: a digest that is too wide asks for a new version
                # too often, one that is too narrow lets another function run under the old version.
                if isinstance(part, ast.Name):
                    self._take_name(module, part.id)
                elif isinstance(part, ast.Import | ast.ImportFrom):
                    for alias in part.names:
                        self._take_import(module, part, alias)

    def take_all(self, module: str) -> None:
        """Takes every statement of a module."""
        for number in range(len(self._trees.get(module, ()))):
            self._take(module, number)

    def _take(self, module: str, number: int) -> None:
        if (module, number) not in self._statements:
            self._statements.add((module, number))
            self.follow(module, [self._trees[module][number]])

    def _take_name(self, module: str, name: str) -> None:
        if (module, name) in self._names:
            return
        # Before it is followed: names mention each other in circles.
        self._names.add((module, name))
        for number, statement in enumerate(self._trees.get(module, ())):
            if isinstance(statement, ast.Import | ast.ImportFrom):
                for alias in statement.names:
                    if _bound(alias) in (name, "*"):
                        self._take_import(module, statement, alias)
            elif name in _changed(statement):
                self._take(module, number)

    def _take_import(self, module: str, statement: ast.Import | ast.ImportFrom, alias: ast.alias) -> None:
        source = self._source(module, statement) if isinstance(statement, ast.ImportFrom) else ""
        self._imports.add(f"{source} {alias.name} {_bound(alias)}")
        whole = f"{source}.{alias.name}".lstrip(".")
        if not source or self._is_ours(whole):
            # Importing ``a.b`` runs ``a`` first, and either may change the other.
            parts = whole.split(".")
            for length in range(1, len(parts) + 1):
                self.take_all(".".join(parts[:length]))
        elif alias.name == "*":
            self.take_all(source)
        else:
            self._take_name(source, alias.name)

    def _source(self, module: str, statement: ast.ImportFrom) -> str:
        if not statement.level:
            return statement.module or ""
        parts = module.split(".")
        # As Python counts: the first dot is the package itself in its ``__init__``, else the package around it.
        is_package = any(name.startswith(module + ".") for name in self._trees)
        base = parts[: len(parts) - statement.level + is_package]
        return ".".join([*base, *([statement.module] if statement.module else [])])

    def _is_ours(self, name: str) -> bool:
        return any(module == name or module.startswith(name + ".") for module in self._trees)


def _bound(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def _changed(statement: ast.stmt) -> set[str]:
    """Returns the names that a statement at the top of a module binds, or whose objects it changes."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        # What is inside counts once somebody mentions the name.
        return {statement.name}
    changed: set[str] = set()
    for part in ast.walk(statement):
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            changed.add(part.name)
        elif isinstance(part, ast.Import | ast.ImportFrom):
            changed.update(map(_bound, part.names))
        elif isinstance(part, ast.Name | ast.Attribute | ast.Subscript) and not isinstance(part.ctx, ast.Load):
            changed.update(_root(part))
        elif isinstance(part, ast.Expr):  # runs for what it changes: TABLE.update(...), fill(TABLE)
            changed.update(name.id for name in ast.walk(part) if isinstance(name, ast.Name))
    return changed


def _root(target: ast.expr) -> Iterator[str]:
    while isinstance(target, ast.Attribute | ast.Subscript):
        target = target.value
    if isinstance(target, ast.Name):
        yield target.id


def _form(part: object) -> str:
    """Returns the text of code that any version of Python gives: what is absent is left out, so are docstrings."""
    if isinstance(part, ast.AST):
        fields = (f"{name}={_form(value)}" for name, value in ast.iter_fields(part) if value not in (None, []))
        return f"{type(part).__name__}({', '.join(fields)})"
    if isinstance(part, list):
        return f"[{', '.join(_form(item) for item in part if not _is_docstring(item))}]"
    # Not ``repr``: which characters it shows as they are depends on Python's version of Unicode.
    return ascii(part)


def _is_docstring(part: object) -> bool:
    return isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant) and isinstance(part.value.value, str)
