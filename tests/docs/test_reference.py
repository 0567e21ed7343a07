import re

import pytest

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
