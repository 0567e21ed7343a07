import re
import tomllib
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_each_direct_dependency_has_its_line_in_the_docs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    names = {match[0] for text in requirements if (match := re.match(r"[\w-]+(\[[\w,]+\])?", text))}
    lines = re.findall(r"^\| ([^| ]+) \|", (ROOT / "docs" / "dependencies.md").read_text(), re.MULTILINE)
    assert set(lines) - {"package"} == names - {"headrace[demo]"}
