import inspect
import re

import pytest

import headrace
from schemas.definitions.compile import compile_services, compile_sources, compile_views
from schemas.definitions.repository import load_repository
from tests.docs.reference.definitions import example_repository
from tests.docs.reference.docstring import docstring
from tests.docs.reference.pages import FOLDER, PAGES

CODE = re.compile(r"`([A-Z][A-Z_]{4,})`")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_what_the_code_says(name: str) -> None:
    assert (FOLDER / name).read_text("utf-8") == PAGES[name](), f"docs/reference/{name} is old: run `make reference`"


def test_every_page_of_the_folder_is_made() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(PAGES)


def test_what_a_page_of_limits_refers_to_is_a_limit_or_a_code() -> None:
    limits, codes = (CODE.findall(PAGES[name]()) for name in ("limits.md", "error-codes.md"))
    listed = re.findall(r"^\| `([A-Z_]+)`", PAGES["limits.md"](), re.MULTILINE)
    assert sorted(set(limits) - {*codes, *listed}) == []


def test_every_name_that_users_import_has_its_place_on_the_page_of_definitions() -> None:
    page = PAGES["definitions.md"]()
    assert [name for name in headrace.__all__ if f"`{name}`" not in page] == []


def test_docstrings_tell_of_the_arguments_that_there_are() -> None:
    for name in headrace.__all__:
        told = docstring(getattr(headrace, name)).entries
        assert not told or list(told) == list(inspect.signature(getattr(headrace, name)).parameters), name


def test_the_examples_of_docstrings_are_a_repository() -> None:
    repository = load_repository({"features.py": example_repository()}, "page")
    views = compile_views(repository, compile_sources(repository, 4))
    assert set(views) == {"user_activity@V1", "last_purchase@V1"}
    assert set(compile_services(repository, views)) == {"fraud_detection"}


def test_the_examples_of_an_aggregate_are_aggregates() -> None:
    names: dict[str, object] = {}
    exec(f"from datetime import timedelta\nfrom headrace import *\n{docstring(headrace.Aggregate).example}", names)  # noqa: S102 - it is ours
    assert isinstance(names["mean"], headrace.AggregateFeature)
    assert isinstance(names["newest"], headrace.AggregateFeature)
