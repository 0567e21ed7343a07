"""Runs what README and docs tell readers to run: blocks marked ``sh`` and ``python``, in order, a page at a time.

What a block prints, as far as a page shows it, stands below in a block marked ``output``. All pages share a working
folder and a system, as a reader's do who takes the tour first.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from examples.running import System, running_system
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)[^):]*\)")
RUN = {"sh": ("bash", "-euo", "pipefail", "-c"), "python": (sys.executable, "-c")}
SHOWN = {"text", "json", "toml", "yaml", "py"}
OUTPUT = "output"
CHANGING = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z|\b\d+/\d+\b")
"""Times, and partitions with offsets: they differ from run to run."""

BLOCK_SECONDS = 60
HOUR_MARGIN_SECONDS = 40


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text("utf-8"))


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("docs")) as running:
        yield running


@pytest.fixture(scope="module")
def folder(system: System, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader's working folder, with the data folder where ``headrace up`` has it by default."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / ".headrace").symlink_to(system.data)
    return folder


def ports(system: System) -> dict[str, str]:
    """What a reader's addresses, with default ports, are here."""
    addresses = {"127.0.0.1:9092": system.kafka, "127.0.0.1:8181": system.ingest, "127.0.0.1:8080": system.serving}
    return {default: address.removeprefix("http://") for default, address in addresses.items()}


def run(kind: str, text: str, system: System, folder: Path) -> subprocess.CompletedProcess[str]:
    for default, address in ports(system).items():
        text = text.replace(default, address)
    environ = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HEADRACE_BOOTSTRAP": system.kafka,
        "HEADRACE_INGEST_PORT": system.ingest.rpartition(":")[2],
        "HEADRACE_SERVING_PORT": system.serving.rpartition(":")[2],
    }
    command = [*RUN[kind], text]
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=BLOCK_SECONDS
    )


def play(page: Path, system: System, folder: Path) -> None:
    """Runs a page's blocks, and compares what they print with what it shows."""
    applied, printed = False, ""
    for kind, text in blocks(page):
        if kind in RUN:
            done = run(kind, text, system, folder)
            if applied:  # a reader is slower than the definitions
                deadline = time.monotonic() + BLOCK_SECONDS
                while done.returncode != 0 and time.monotonic() < deadline:
                    done = run(kind, text, system, folder)
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
            applied, printed = "headrace apply" in text, done.stdout + done.stderr
        elif kind == OUTPUT:
            assert not_printed(text, printed) == [], printed


def not_printed(shown: str, printed: str) -> list[str]:
    """Returns the lines that were not printed, in this order, leaving aside spaces and what differs in each run."""
    found = iter(comparable(printed))
    return [line for line in comparable(shown) if line not in found]


def comparable(text: str) -> list[str]:
    return [" ".join(CHANGING.sub("#", line).split()) for line in text.splitlines()]


def test_a_shown_line_that_was_not_printed_or_not_in_its_place_is_found() -> None:
    printed = "a 2026-12-01T12:10:14.9Z  1/0\nb\nc\n"
    assert not_printed(" a  2025-01-01T00:00:00Z 3/12\n c", printed) == []
    assert not_printed("a\n", printed) == ["a"]
    assert not_printed("c\nb\n", printed) == ["b"]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(shutil.which("curl") is None, reason="the pages call curl")
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(kind in RUN for kind, _ in blocks(page))],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_what_a_page_shows_to_run_runs(page: Path, system: System, folder: Path) -> None:
    if page != README and not (folder / "features").exists():
        play(README, system, folder)
    # Tiles of the hour that a page begins in must not be complete at its end.
    wait_until(lambda: datetime.now(UTC).timestamp() % 3600 < 3600 - HOUR_MARGIN_SECONDS, HOUR_MARGIN_SECONDS + 1)
    play(page, system, folder)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_each_block_says_whether_it_is_to_be_run(page: Path) -> None:
    assert {kind for kind, _ in blocks(page)} <= RUN.keys() | SHOWN | {OUTPUT}
    assert page.read_text("utf-8").count("```") == 2 * len(blocks(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text("utf-8")) if not (page.parent / link).exists()]
    assert missing == []
