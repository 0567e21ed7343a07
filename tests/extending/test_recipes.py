"""Each recipe of docs/extending.md applies to the repository as it is, passes its checks, and its own tests."""

from pathlib import Path

import pytest

from tests.extending.recipe import apply, copy_to, files_of, files_told, in_copy, names

KINDS = {"aggregate", "command"}

ALSO = {"aggregate": ("tests/schemas", "tests/serving/reads", "tests/headrace/test_what_compiles_runs.py")}
"""What else must pass with a recipe than the tests that it brings."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def test_there_is_a_recipe_of_each_kind() -> None:
    assert set(names()) == KINDS


@pytest.mark.parametrize("name", names())
def test_the_page_names_the_files_of_a_recipe(name: str) -> None:
    assert files_told(name) == files_of(name)


@pytest.mark.parametrize("name", names())
def test_a_recipe_applies_and_works(name: str, tmp_path: Path) -> None:
    copy_to(tmp_path)
    apply(name, tmp_path)
    files = files_of(name)
    code = [file for file in files if file.endswith(".py")]
    tests = [file for file in code if Path(file).name.startswith("test_")]
    assert tests, "a recipe tests what it adds"
    assert not in_copy(tmp_path, "ruff", "format", "--check", *code)
    assert not in_copy(tmp_path, "ruff", "check", *code)
    assert not in_copy(tmp_path, "mypy", *code)
    assert not in_copy(tmp_path, "lint-imports")
    units = ("-m", "not broker and not slow and not long", "--hypothesis-profile", "quick")
    assert not in_copy(tmp_path, "pytest", "-q", *units, *tests, *ALSO.get(name, ()), "tests/test_mirror.py")
