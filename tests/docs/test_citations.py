"""What code, tests and pages cite can be looked up: rules, sections of the design, decisions."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.reference.pages import PAGES

ROOT = Path(__file__).parents[2]
RULES = ROOT / "docs/compatibility"
DESIGN = ROOT / "docs/design.md"
DECISIONS = ROOT / "docs/decisions"

PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"][
    "packages"
]
FOLDERS = [ROOT / name for name in (*PACKAGES, "tests", "bench", "examples", "docs")]

RULE = re.compile(r"\b(SI|SQ|TF|TI|TA|DF|KA|FM)-(\d+)\b")
DEFINED = re.compile(r"^\*\*((?:SI|SQ|TF|TI|TA|DF|KA|FM)-\d+)\*\*", re.MULTILINE)
SECTION = re.compile(r"docs/design\.md §(\d+)(?:\.(\d+))?")
DECISION = re.compile(r"\bdecisions? (\d{1,4})\b")
NOWHERE = re.compile(r"\breference/[a-z-]+\.md|\bseeds/|\b(?:ingest|query) reference\b")
"""Documents that are not in the repository."""


def texts() -> Iterator[tuple[str, str]]:
    """Yields each file of code and prose, by path."""
    for folder in FOLDERS:
        for path in sorted(folder.rglob("*.py")) + sorted(folder.rglob("*.md")):
            if path != Path(__file__):
                yield path.relative_to(ROOT).as_posix(), path.read_text("utf-8")


def rules() -> list[str]:
    """Returns the numbers of all rules, page by page."""
    return [number for page in sorted(RULES.glob("*.md")) for number in DEFINED.findall(page.read_text("utf-8"))]


def test_each_rule_has_a_number_of_its_own_and_none_is_left_out() -> None:
    found = rules()
    assert found
    assert len(set(found)) == len(found)
    for page in {number.partition("-")[0] for number in found}:
        numbers = [int(each.partition("-")[2]) for each in found if each.startswith(f"{page}-")]
        assert numbers == list(range(1, len(numbers) + 1))


def test_each_cited_rule_is_there() -> None:
    known = set(rules())
    missing = {
        f"{name}: {found[0]}" for name, text in texts() for found in RULE.finditer(text) if found[0] not in known
    }
    assert missing == set()


def test_each_cited_section_of_the_design_is_there() -> None:
    design = DESIGN.read_text("utf-8")
    for name, text in texts():
        for found in SECTION.finditer(text):
            section = re.search(rf"^## {found[1]}\. .*?(?=^## |\Z)", design, re.MULTILINE | re.DOTALL)
            assert section is not None, f"{name}: {found[0]}"
            assert found[2] is None or f"\n{found[2]}. " in section[0], f"{name}: {found[0]}"


def test_each_cited_decision_is_there() -> None:
    known = {int(path.name[:4]) for path in DECISIONS.glob("*.md")}
    missing = {
        f"{name}: {found[0]}"
        for name, text in texts()
        for found in DECISION.finditer(text)
        if int(found[1]) not in known
    }
    assert missing == set()


def test_nothing_cites_what_is_not_here() -> None:
    found = {f"{name}: {match[0]}" for name, text in texts() for match in NOWHERE.finditer(text)}
    assert {each for each in found if each.rpartition("reference/")[2] not in PAGES} == set()


@pytest.mark.parametrize("number", rules())
def test_the_tests_that_a_rule_names_are_there(number: str) -> None:
    [text] = [
        found[1]
        for page in RULES.glob("*.md")
        for found in re.finditer(
            rf"^\*\*{number}\*\*(.*?)(?=^\*\*|^#|\Z)", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
        )
    ]
    for path in re.findall(r"`(tests/[\w/.-]+)`", text):
        assert (ROOT / path).exists(), f"{number} names {path}"
