"""Each module has the file of tests that its path names, so who changes one knows where its promises are tested."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"][
    "wheel"
]["packages"]
WITHOUT_PROMISES = {"__init__.py", "__main__.py"}


def mirror_of(module: str) -> str:
    """Returns where the tests of a module stand, both as paths from the root of the repository."""
    folder, _, name = module.rpartition("/")
    return f"tests/{folder}/test_{name}"


def modules_of(package: str) -> list[str]:
    return sorted(
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / package).rglob("*.py")
        if path.name not in WITHOUT_PROMISES
    )


def test_a_module_is_mirrored_by_its_whole_path() -> None:
    assert mirror_of("schemas/errors.py") == "tests/schemas/test_errors.py"
    assert mirror_of("infra/kafka/errors.py") == "tests/infra/kafka/test_errors.py"


@pytest.mark.parametrize("package", PACKAGES)
def test_each_module_has_its_file_of_tests(package: str) -> None:
    modules = modules_of(package)
    assert modules
    missing = {module: mirror_of(module) for module in modules if not (ROOT / mirror_of(module)).is_file()}
    assert not missing, "no tests of " + ", ".join(f"{module}: add {tests}" for module, tests in missing.items())


@pytest.mark.parametrize("package", PACKAGES)
def test_each_folder_of_tests_is_of_a_folder_of_modules(package: str) -> None:
    folders = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests" / package).rglob("test_*.py")}
    assert sorted(str(folder) for folder in folders if not (ROOT / folder).is_dir()) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_file_of_tests_tests(package: str) -> None:
    files = [ROOT / mirror_of(module) for module in modules_of(package)]
    assert [str(file) for file in files if file.is_file() and "def test_" not in file.read_text("utf-8")] == []
