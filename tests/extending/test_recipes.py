"""Each recipe of docs/extending.md applies to the repository as it is, passes its checks, and its own tests."""

from pathlib import Path

import pytest

from tests.extending.recipe import apply, apply_in_part, copy_to, files_of, files_told, in_copy, names, refused

KINDS = {"admin-family", "aggregate", "command", "ingest-dialect", "metric", "read-dialect", "setting", "type"}

ALSO = {
    "admin-family": ("tests/access/store/migrations",),
    "type": ("tests/schemas", "tests/serving/tecton", "tests/processors/logs"),
    "aggregate": ("tests/schemas", "tests/serving/reads", "tests/headrace/test_what_compiles_runs.py"),
    "metric": ("tests/infra/test_metrics.py",),
    "setting": ("tests/headrace/terminal/test_settings_options.py",),
}
"""What else must pass with a recipe than the tests that it brings."""

STARTS_BROKER = {"setting"}
"""Recipes some of whose tests start a broker."""


def test_there_is_a_recipe_of_each_kind() -> None:
    assert set(names()) == KINDS


@pytest.mark.parametrize("name", names())
def test_the_page_names_the_files_of_a_recipe(name: str) -> None:
    assert files_told(name) == files_of(name)


@pytest.mark.parametrize("name", names())
def test_a_recipe_applies_to_the_repository_as_it_is(name: str) -> None:
    assert refused(name) == "", f"`python -m tests.extending edit {name} FOLDER` says what to mend"


def test_what_applies_of_a_recipe_is_in_the_copy_and_what_does_not_is_named(tmp_path: Path) -> None:
    copy_to(tmp_path)
    (tmp_path / "infra/settings.py").write_text("other\n", "utf-8")
    assert apply_in_part("setting", tmp_path) == ["infra/settings.py.rej"]
    assert "kafka_heap_mb" in (tmp_path / "tests/infra/test_settings.py").read_text("utf-8")


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.broker] if name in STARTS_BROKER else []) for name in names()]
)
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
    lanes = "not slow and not long" if name in STARTS_BROKER else "not broker and not slow and not long"
    options = ("-m", lanes, "--hypothesis-profile", "quick")
    assert not in_copy(tmp_path, "pytest", "-q", *options, *tests, *ALSO.get(name, ()), "tests/test_mirror.py")
