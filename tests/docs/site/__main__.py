"""Builds the site of README and docs: ``make docs``. Runs where `zensical` is installed, and needs nothing else.

Usage: ``python -m tests.docs.site FOLDER``, which becomes the site.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.docs.site.links import problems
from tests.docs.site.stage import LostLinkError, Nav, staged

ROOT = Path(__file__).parents[3]

SETTINGS = """\
[project]
site_name = "Headrace"
site_description = "Self-hosted streaming feature platform on Kafka"
docs_dir = "docs"
site_dir = "site"
use_directory_urls = false
extra_css = ["site.css"]

[project.theme]
language = "en"
# No fonts from elsewhere: the site makes no request to another host.
font = false
features = [
  "content.code.copy",
  "navigation.footer",
  "navigation.indexes",
  "navigation.path",
  "navigation.sections",
  "navigation.top",
  "search.highlight",
  "toc.follow",
]

[[project.theme.palette]]
media = "(prefers-color-scheme)"
toggle.icon = "lucide/sun-moon"
toggle.name = "Switch to light"

[[project.theme.palette]]
media = "(prefers-color-scheme: light)"
scheme = "default"
toggle.icon = "lucide/sun"
toggle.name = "Switch to dark"

[[project.theme.palette]]
media = "(prefers-color-scheme: dark)"
scheme = "slate"
toggle.icon = "lucide/moon"
toggle.name = "Switch to what the system has"

[project.markdown_extensions]
admonition = {}
attr_list = {}
tables = {}
toc.permalink = true
# Anchors as where the repository is browsed: punctuation goes, each space is a hyphen.
toc.slugify = { object = "pymdownx.slugs.slugify", kwds = { case = "lower" } }
pymdownx.highlight = {}
pymdownx.inlinehilite = {}
pymdownx.superfences = {}
"""

STYLE = """\
/* Tables of the reference are wide, and a name that is broken in two cannot be found. */
.md-grid { max-width: 76rem; }
.md-typeset td code { white-space: nowrap; word-break: normal; }
"""


def build(site: Path) -> list[str]:
    """Builds the site into a folder that there is none of yet, and returns what is wrong with it."""
    pages, nav = staged(ROOT)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, text in pages.items():
            path = folder / "docs" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        (folder / "docs" / "site.css").write_text(STYLE, encoding="utf-8")
        (folder / "zensical.toml").write_text(_with_nav(nav), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "zensical",
            "build",
            "--strict",
            "--config-file",
            str(folder / "zensical.toml"),
        ]
        subprocess.run(command, check=True)
        shutil.move(folder / "site", site)
    return list(problems(site))


def _with_nav(nav: Nav) -> str:
    return SETTINGS.replace("[project.theme]\n", f"nav = {_toml(nav)}\n\n[project.theme]\n", 1)


def _toml(value: object) -> str:
    """Returns a text, a list or a mapping of one entry as TOML, in one line."""
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(name)} = {_toml(each)}" for name, each in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    try:
        wrong = build(target)
    except (LostLinkError, subprocess.CalledProcessError) as error:
        sys.exit(str(error))
    if wrong:
        sys.exit("\n".join(wrong))
    sys.stdout.write(f"{target}/index.html\n")
