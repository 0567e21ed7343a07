"""Turns README and docs into the pages of a site: one folder in which every link leads to a page of that folder.

On disk, and where the repository is browsed, links lead to files: to ``../README.md``, to a folder, to a patch beside
the tests. A site has no such files, so README and the like become pages, a folder a page that lists what is in it, and
any other file a page that shows its text.

Invariant: a link that leads nowhere is an error here, not a warning.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

HOME = "README.md"
CONTENTS = "docs/index.md"

FENCE = re.compile(r"^(```|~~~)", re.MULTILINE)
LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
ROW = re.compile(r"^\| \[[^\]]+\]\(([^)#]+)\)", re.MULTILINE)
HEADING = re.compile(r"^#+ (.+?)(?: *\{.*\})?$", re.MULTILINE)
MARK = re.compile(r"""(?:<a (?:id|name)="|\{#)([\w.-]+)""")
TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
ELSEWHERE = re.compile(r"[a-z]+:")

Nav = list[dict[str, Any]]


class LostLinkError(Exception):
    """A page has a link that leads nowhere, or is one that no other leads to."""


@dataclass(slots=True)
class Stage:
    """The pages of a site, as far as they are known; further ones come up by links.

    Attributes:
        root: the repository.
        pages: their texts, by their path in the site.
    """

    root: Path
    pages: dict[str, str] = field(default_factory=dict)

    def place(self, path: str) -> str:
        """Returns the page of a file or folder of the repository, and makes it if it is not there.

        Raises:
            LostLinkError: there is no such file or folder.
        """
        source = self.root / path
        if not source.exists():
            raise LostLinkError(f"{path} does not exist")
        page = page_of(path, is_folder=source.is_dir())
        if page not in self.pages:
            self.pages[page] = ""  # a page may link to itself
            self.pages[page] = self._text(path, source, page)
        return page

    def _text(self, path: str, source: Path, page: str) -> str:
        if source.is_dir():
            index = source / "index.md"
            return self._linked(path + "/index.md", page) if index.is_file() else self._listing(path, source, page)
        if source.suffix == ".md":
            return self._linked(path, page)
        return "\n".join([f"# `{path}`", "", "~~~text", source.read_text("utf-8").rstrip("\n"), "~~~", ""])

    def _listing(self, path: str, source: Path, page: str) -> str:
        title = source.name.capitalize() if path.startswith("docs/") else f"`{path}`"
        entries = []
        for each in sorted(source.iterdir()):
            if each.suffix == ".md":
                target = self.place(f"{path}/{each.name}")
                entries.append(f"- [{title_of(self.pages[target])}]({_relative(target, page)})")
        return "\n".join([f"# {title}", "", *entries, ""])

    def _linked(self, path: str, page: str) -> str:
        """Returns the text of a Markdown file with links to pages instead of files."""
        text = (self.root / path).read_text("utf-8")

        def link(found: re.Match[str]) -> str:
            target, mark, anchor = found[0].partition("#")
            if ELSEWHERE.match(target):
                return found[0]
            meant = os.path.normpath(PurePosixPath(path).parent / target) if target else path
            try:
                self._require(meant, anchor)
                return (_relative(self.place(meant), page) if target else "") + mark + anchor
            except LostLinkError as error:
                raise LostLinkError(f"{path} has a link to {found[0]}: {error}") from error

        return "".join(part if is_code else LINK.sub(link, part) for is_code, part in _parts(text))

    def _require(self, path: str, anchor: str) -> None:
        """Raises if a page has no such anchor."""
        source = self.root / path
        if anchor and source.suffix == ".md" and source.is_file() and anchor not in anchors(source.read_text("utf-8")):
            raise LostLinkError(f"{path} has no heading or mark {anchor}")


def anchors(text: str) -> set[str]:
    """Returns what links can lead to in a page: its headings, and what it marks by hand."""
    prose = "".join(part for is_code, part in _parts(text) if not is_code)
    slugs = (re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in HEADING.findall(prose))
    return {*slugs, *MARK.findall(prose)}


def page_of(path: str, *, is_folder: bool) -> str:
    """Returns the path in the site of what a file or folder of the repository becomes."""
    if path == HOME:
        return "index.md"
    if path == CONTENTS:
        return "contents.md"
    below = path.removeprefix("docs/")
    if is_folder:
        return f"{below}/index.md"
    if path.endswith(".md"):
        return below.lower() if below == path and "/" not in path else below
    return f"files/{path}.md"


def title_of(text: str) -> str:
    """Returns the title of a page."""
    found = TITLE.search(text)
    return found[1] if found else "Untitled"


def staged(root: Path) -> tuple[Mapping[str, str], Nav]:
    """Returns the pages of the site, and its navigation in the order of the table of contents.

    Raises:
        LostLinkError: a link leads nowhere, or the table of contents does not lead to a page of docs.
    """
    stage = Stage(root)
    home, contents = stage.place(HOME), stage.place(CONTENTS)
    nav: Nav = [{title_of(stage.pages[home]): home}, {"Contents": contents}]
    for target in ROW.findall((root / CONTENTS).read_text("utf-8")):
        meant = os.path.normpath(PurePosixPath(CONTENTS).parent / target)
        page = stage.place(meant)
        if page == home:
            continue
        folder = meant.removesuffix("/index.md")
        below = _below(stage, folder, page) if (root / folder).is_dir() else []
        nav.append({title_of(stage.pages[page]): [page, *below] if below else page})
    listed = {page for entry in nav for page in _pages_in(entry)}
    for path in sorted((root / "docs").rglob("*.md")):
        file = path.relative_to(root).as_posix()
        page = page_of(file, is_folder=False)
        if page not in listed:
            raise LostLinkError(f"{file} is not in the table of {CONTENTS}")
    return stage.pages, nav


def _below(stage: Stage, folder: str, index: str) -> Nav:
    files = sorted((stage.root / folder).glob("*.md"))
    pages = [stage.place(f"{folder}/{file.name}") for file in files]
    return [{title_of(stage.pages[page]): page} for page in pages if page != index]


def _pages_in(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    else:
        for each in entry.values() if isinstance(entry, dict) else entry:
            yield from _pages_in(each)


def _relative(target: str, page: str) -> str:
    return os.path.relpath(target, PurePosixPath(page).parent)


def _parts(text: str) -> Iterator[tuple[bool, str]]:
    """Yields the text in parts that are blocks of code, or are not."""
    begin, is_code = 0, False
    for fence in FENCE.finditer(text):
        at = fence.start() if not is_code else fence.end()
        yield is_code, text[begin:at]
        begin, is_code = at, not is_code
    yield is_code, text[begin:]
