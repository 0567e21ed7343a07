from pathlib import Path

import pytest

from tests.docs.site.stage import LostLinkError, staged

ROOT = Path(__file__).parents[2]

FILES = {
    "README.md": "# Headrace\n\n[all](docs/index.md), [b](docs/design.md#its-ideas), [c](LICENSE), [0](#headrace)\n",
    "LICENSE": "Apache\n",
    "docs/index.md": "# Docs\n\n| page |\n|---|\n| [README](../README.md) |\n| [b](design.md) |\n| [c](decisions) |\n",
    "docs/design.md": "# The design\n\n## Its `ideas`\n\n[1](decisions/0001-a.md), [site](https://a.org/x)\n\n```text\n[no](nowhere.md)\n```\n",
    "docs/decisions/0002-b.md": "# 2. B\n",
    "docs/decisions/0001-a.md": "# 1. A\n\n[home](../../README.md)\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def add(root: Path, name: str, text: str) -> None:
    (root / name).write_text(FILES.get(name, "") + text, encoding="utf-8")


def test_links_to_files_lead_to_pages(root: Path) -> None:
    pages, _nav = staged(root)
    assert "[all](contents.md), [b](design.md#its-ideas), [c](files/LICENSE.md), [0](#headrace)" in pages["index.md"]
    assert "[1](decisions/0001-a.md), [site](https://a.org/x)" in pages["design.md"]
    assert "[home](../index.md)" in pages["decisions/0001-a.md"]
    assert "~~~text\nApache\n~~~" in pages["files/LICENSE.md"]


def test_a_folder_is_a_page_that_lists_its_pages(root: Path) -> None:
    pages, _nav = staged(root)
    assert pages["decisions/index.md"] == "# Decisions\n\n- [1. A](0001-a.md)\n- [2. B](0002-b.md)\n"


def test_navigation_has_the_order_of_the_table_of_contents(root: Path) -> None:
    _pages, nav = staged(root)
    below = [{"1. A": "decisions/0001-a.md"}, {"2. B": "decisions/0002-b.md"}]
    assert nav == [
        {"Headrace": "index.md"},
        {"Contents": "contents.md"},
        {"The design": "design.md"},
        {"Decisions": ["decisions/index.md", *below]},
    ]


def test_what_code_shows_is_no_link(root: Path) -> None:
    pages, _nav = staged(root)
    assert "```text\n[no](nowhere.md)\n```" in pages["design.md"]


def test_a_link_that_leads_nowhere_is_an_error(root: Path) -> None:
    add(root, "docs/decisions/0002-b.md", "[gone](../gone.md)\n")
    with pytest.raises(LostLinkError, match=r"0002-b\.md has a link to \.\./gone\.md: docs/gone\.md does not exist"):
        staged(root)


@pytest.mark.parametrize("link", ["../design.md#no-idea", "#no-idea"])
def test_a_link_to_no_heading_is_an_error(link: str, root: Path) -> None:
    add(root, "docs/decisions/0002-b.md", f"[gone]({link})\n")
    with pytest.raises(LostLinkError, match=rf"0002-b\.md has a link to {link}: .* has no heading or mark no-idea"):
        staged(root)


def test_a_folder_may_have_a_page_of_its_own(root: Path) -> None:
    add(root, "docs/decisions/index.md", '# What was decided\n\n<a id="mark"></a>[here](#mark), [one](0001-a.md#1-a)\n')
    pages, nav = staged(root)
    assert "[here](#mark), [one](0001-a.md#1-a)" in pages["decisions/index.md"]
    below = [{"1. A": "decisions/0001-a.md"}, {"2. B": "decisions/0002-b.md"}]
    assert nav[-1] == {"What was decided": ["decisions/index.md", *below]}


def test_a_page_that_the_table_of_contents_does_not_name_is_an_error(root: Path) -> None:
    add(root, "docs/lonely.md", "# Lonely\n")
    with pytest.raises(LostLinkError, match=r"docs/lonely\.md is not in the table of docs/index\.md"):
        staged(root)


def test_every_page_of_this_repository_has_its_place() -> None:
    pages, nav = staged(ROOT)
    assert {"index.md", "contents.md", "reference/settings.md", "files/LICENSE.md"} <= pages.keys()
    assert len(nav) > 10
