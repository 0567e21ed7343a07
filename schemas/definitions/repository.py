"""A feature repository loaded from its texts: whole at ``apply``, in processors as many of its modules as load there.

Invariant: loading reads nothing but the texts it is given. Modules of two plans never meet: each loading has modules of
its own, outside ``sys.modules``, and their imports of each other are answered from the same texts. What was loaded
rests on nothing that failed: a module fails with any that it imports, also where it got that one half-made.
"""

import builtins
import hashlib
import linecache
import traceback
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType, ModuleType
from typing import Any, Final, TypeVar

from schemas.definitions.objects import Entity, FeatureService, StreamFeatureView, StreamSource, attribute_view
from schemas.errors import DefinitionError

Definition = StreamSource | Entity | StreamFeatureView | FeatureService
D = TypeVar("D", StreamSource, Entity, StreamFeatureView, FeatureService)
K = TypeVar("K")

BEGINS: Final = "begins"
ENDS: Final = "ends"
Watch = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Repository:
    """What a repository defines; views by (name, version), the rest by name."""

    sources: dict[str, StreamSource]
    entities: dict[str, Entity]
    views: dict[tuple[str, str], StreamFeatureView]
    services: dict[str, FeatureService]
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class LoadedViews:
    """The views of those modules of a repository that load here.

    Attributes:
        views: by (name, version).
        failures: why each module that does not load does not, by dotted name.
    """

    views: dict[tuple[str, str], StreamFeatureView]
    failures: dict[str, str]

    def functions(self) -> dict[str, Callable[[dict[str, Any]], Any]]:
        """Returns the function of each view, by the key that plans name it by."""
        return {f"{name}@{version}": view.function for (name, version), view in self.views.items()}


def digest(files: Mapping[str, str]) -> str:
    """Returns the SHA-256 of a repository's texts, in hexadecimal."""
    hasher = hashlib.sha256()
    for path in sorted(files):
        for part in (path, files[path]):
            data = part.encode()
            hasher.update(len(data).to_bytes(8, "big") + data)
    return hasher.hexdigest()


def module_texts(files: Mapping[str, str]) -> dict[str, str]:
    """Returns the texts of a repository's modules, by dotted name."""
    return {_module_name(path): text for path, text in files.items() if path.endswith(".py")}


def load_repository(files: Mapping[str, str], label: str) -> Repository:
    """Runs a repository's modules and collects what they define.

    Args:
        files: texts of ``.py`` and ``.avsc`` files by path relative to the repository, with ``/``.
        label: what file names in errors begin with, e.g. the folder's path.

    Raises:
        DefinitionError: a module fails, or two different objects have one name; names file and line.
    """
    loader = _Loader(files, label)
    found: dict[int, Definition] = {}
    for name in sorted(loader.paths):
        for value in vars(loader.load(name)).values():
            if isinstance(value, Definition):
                found.setdefault(id(value), value)
    definitions = list(found.values())
    return Repository(
        sources=_by_name(definitions, StreamSource, lambda item: item.name),
        entities=_by_name(definitions, Entity, lambda item: item.name),
        views=_by_name(definitions, StreamFeatureView, _key),
        services=_by_name(definitions, FeatureService, lambda item: item.name),
        files=dict(files),
    )


def load_views(
    files: Mapping[str, str],
    label: str,
    condemned: Mapping[str, str],
    watch: Watch = lambda _event, _module: None,
) -> LoadedViews:
    """Runs the modules of a repository and collects the views of those that do not fail.

    Args:
        files: as for ``load_repository``.
        label: as there.
        condemned: why modules, by dotted name, are not run and count as failed.
        watch: called with ``BEGINS`` and a module's name before it runs, and with ``ENDS`` after it, whatever came of
            it; in between for modules that it imports.
    """
    loader = _Loader(files, label, condemned, watch)
    loaded: dict[str, ModuleType] = {}
    for name in sorted(loader.paths):
        with suppress(DefinitionError, KeyboardInterrupt):  # the latter is the module's: no signal comes as one here
            loaded[name] = loader.load(name)
    views: dict[tuple[str, str], StreamFeatureView] = {}
    twice = set()
    for name, module in loaded.items():
        if name in loader.failures:
            continue  # it failed after it had run: with one that it had imported half-made
        for value in vars(module).values():
            if isinstance(value, StreamFeatureView) and views.setdefault(key := _key(value), value) is not value:
                twice.add(key)  # ``apply`` refuses it, so it is so on this host alone: neither may run as the other
    return LoadedViews({key: view for key, view in views.items() if key not in twice}, loader.failures)


def _key(view: StreamFeatureView) -> tuple[str, str]:
    return view.name, view.version


def _by_name(definitions: list[Definition], kind: type[D], key: Callable[[D], K]) -> dict[K, D]:
    named: dict[K, D] = {}
    for item in definitions:
        if isinstance(item, kind):
            other = named.setdefault(key(item), item)
            if other is not item:
                problem = f"already defined at {other.origin}; rename one of them"
                raise DefinitionError(f"{item.origin}: {kind.__name__} {item.name!r}: {problem}")
    return named


class _Loader:
    def __init__(
        self,
        files: Mapping[str, str],
        label: str,
        condemned: Mapping[str, str] = MappingProxyType({}),
        watch: Watch = lambda _event, _module: None,
    ) -> None:
        self.failures = dict(condemned)
        self._files = files
        self._label = label
        self._watch = watch
        self._modules: dict[str, ModuleType] = {}
        self._running: set[str] = set()
        self._importers: dict[str, set[str]] = {}  # of each module; also of one that they got half-made
        self.paths = {_module_name(path): path for path in files if path.endswith(".py")}
        self._builtins = {**vars(builtins), "__import__": self._import}

    def load(self, name: str) -> ModuleType:
        if name not in self._modules and name not in self.failures:
            try:
                self._make(name)
            except BaseException as error:
                self._fail(name, str(error) or type(error).__name__)
                raise
        if name in self.failures:
            raise DefinitionError(self.failures[name])
        return self._modules[name]

    def _make(self, name: str) -> None:
        parent, _, child = name.rpartition(".")
        module = ModuleType(name)
        path = self.paths.get(name)
        is_package = path is None or path.endswith("__init__.py")
        module.__dict__["__builtins__"] = self._builtins
        module.__dict__["__package__"] = name if is_package else parent
        self._modules[name] = module
        if parent:
            setattr(self.load(parent), child, module)
            self._importers.setdefault(parent, set()).add(name)
        if path is not None:
            self._running.add(name)
            self._watch(BEGINS, name)
            try:
                self._run(module, path)
            finally:
                self._watch(ENDS, name)
                self._running.remove(name)

    def _fail(self, name: str, problem: str) -> None:
        self.failures.setdefault(name, problem)
        self._modules.pop(name, None)
        for importer in self._importers.pop(name, ()):
            if importer not in self.failures:
                self._fail(importer, f"{importer!r} imports {name!r}: {problem}")

    def _run(self, module: ModuleType, path: str) -> None:
        file = f"{self._label}/{path}"
        text = self._files[path]
        module.__dict__["__file__"] = file
        lines = text.splitlines(keepends=True)
        linecache.cache[file] = (len(text), None, lines, file)
        weakref.finalize(module, _forget_lines, file, lines)  # else each plan's texts would stay for ever
        try:
            exec(compile(text, file, "exec"), module.__dict__)  # noqa: S102 - running it is what a repository is for
        except DefinitionError:
            raise
        except SyntaxError as error:
            raise DefinitionError(f"{file}:{error.lineno or 1}: {error.msg}; correct the line") from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a module that calls sys.exit() must not end the process that loads it
            frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
            line = frames[-1].lineno if frames else 1
            remedy = "the module must load without errors"
            if isinstance(error, ImportError | NameError) and "'Attribute'" in str(error):
                remedy = attribute_view()  # what another platform writes in its place
            problem = f"{type(error).__name__}: {error}; {remedy}"
            raise DefinitionError(f"{file}:{line}: {problem}") from error

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002 - the signature of __import__
        locals: Mapping[str, Any] | None = None,  # noqa: A002 - the signature of __import__
        fromlist: tuple[str, ...] = (),
        level: int = 0,
    ) -> ModuleType:
        absolute = name
        if level and globals is not None:
            base = str(globals["__package__"]).split(".")
            absolute = ".".join(part for part in [*base[: len(base) - level + 1], name] if part)
        if not self._is_ours(absolute):
            return builtins.__import__(name, globals, locals, fromlist, level)
        module = self.load(absolute)
        importer = str((globals or {}).get("__name__"))
        self._importers.setdefault(absolute, set()).add(importer)
        for item in fromlist or ():
            if hasattr(module, item):
                continue
            if self._is_ours(f"{absolute}.{item}"):
                self.load(f"{absolute}.{item}")
                self._importers.setdefault(f"{absolute}.{item}", set()).add(importer)
            elif absolute in self._running:
                raise ImportError(
                    f"{absolute!r} has no {item!r} yet: the modules import each other; move it to a third module"
                )
        return module if fromlist else self.load(absolute.partition(".")[0])

    def _is_ours(self, name: str) -> bool:
        return name in self.paths or any(path.startswith(name + ".") for path in self.paths)


def _forget_lines(file: str, lines: list[str]) -> None:
    """Removes a file's lines from what tracebacks show, unless another module's have taken their place."""
    known: Any = linecache.cache.get(file)
    if known is not None and known[2] is lines:
        del linecache.cache[file]


def _module_name(path: str) -> str:
    parts = PurePosixPath(path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
