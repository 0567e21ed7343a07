import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def asked_for(project: dict[str, Any]) -> list[str]:
    """Every requirement that stands in ``pyproject.toml``."""
    tables = (project["project"]["optional-dependencies"], project["dependency-groups"])
    return [*project["project"]["dependencies"], *(text for table in tables for one in table.values() for text in one)]


def test_each_direct_dependency_has_its_line_in_the_docs() -> None:
    requirements = asked_for(tomllib.loads((ROOT / "pyproject.toml").read_text()))
    names = {match[0] for text in requirements if (match := re.match(r"[\w-]+(\[[\w,]+\])?", text))}
    lines = re.findall(r"^\| ([^| ]+) \|", (ROOT / "docs" / "dependencies.md").read_text(), re.MULTILINE)
    assert set(lines) - {"package"} == names
