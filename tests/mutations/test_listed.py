"""What can be said of the listed mutations without running them; ``make mutations`` runs them."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.mutations.listed import MUTATIONS
from tests.mutations.mutation import Mutation, StaleError
from tests.mutations.runner import ROOT

EACH = pytest.mark.parametrize("mutation", MUTATIONS, ids=[each.name for each in MUTATIONS])


@cache
def node_ids(file: str) -> frozenset[str]:
    """Returns the node ids of a file's tests, without those of parameters."""
    found = set()
    for node in ast.parse(Path(ROOT, file).read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(f"{file}::{node.name}")
        elif isinstance(node, ast.ClassDef):
            inner = (each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
            found |= {f"{file}::{node.name}::{each.name}" for each in inner}
    return frozenset(name for name in found if name.rpartition("::")[2].startswith("test_"))


@EACH
def test_the_old_text_is_there_once_and_the_new_one_compiles(mutation: Mutation) -> None:
    plain = Path(ROOT, mutation.file).read_text("utf-8")
    changed = mutation.applied(plain)
    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(plain))
    compile(changed, mutation.file, "exec")


@EACH
def test_the_named_tests_exist(mutation: Mutation) -> None:
    assert mutation.tests
    for test in mutation.tests:
        assert test.partition("[")[0] in node_ids(test.partition("::")[0])


def test_names_are_unique_and_each_says_why_it_matters() -> None:
    names = [each.name for each in MUTATIONS]
    assert len(set(names)) == len(names)
    assert all(each.why for each in MUTATIONS)


@pytest.mark.parametrize("text", ["x = 2\n", "x = 1\nx = 1\n"])
def test_a_text_that_moved_on_is_told(text: str) -> None:
    mutation = Mutation("m", "m.py", "x = 1", "x = 3", "", ())
    with pytest.raises(StaleError, match=r"m: the old text is [02] times in m\.py, expected once"):
        mutation.applied(text)
