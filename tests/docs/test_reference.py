import pytest

from tests.docs.reference.pages import FOLDER, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_what_the_code_says(name: str) -> None:
    assert (FOLDER / name).read_text("utf-8") == PAGES[name](), f"docs/reference/{name} is old: run `make reference`"


def test_every_page_of_the_folder_is_made() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(PAGES)
