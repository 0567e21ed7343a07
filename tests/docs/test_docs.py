"""Runs what README and docs tell readers to run: blocks marked ``sh`` and ``python``, in order, a page at a time."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.running import System, running_system
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)[^):]*\)")
RUN = {"sh": ("bash", "-euo", "pipefail", "-c"), "python": (sys.executable, "-c")}
SHOWN = {"text", "json", "toml", "yaml"}

BLOCK_SECONDS = 60
TAKE_UP = (
    "headrace ingest transactions features/transactions.jsonl --dry-run && headrace get fraud_detection user_id=u1"
)
"""Succeeds once the definitions that a page applies are in force everywhere."""


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text("utf-8"))


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("docs")) as running:
        yield running


@pytest.fixture
def folder(system: System, tmp_path: Path) -> Path:
    """A reader's working folder, with the data folder where ``headrace up`` has it by default."""
    (tmp_path / ".headrace").symlink_to(system.data)
    return tmp_path


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


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(shutil.which("curl") is None, reason="the pages call curl")
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(kind in RUN for kind, _ in blocks(page))],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_what_a_page_shows_to_run_runs(page: Path, system: System, folder: Path) -> None:
    for kind, text in blocks(page):
        if kind not in RUN:
            continue
        done = run(kind, text, system, folder)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        if "headrace apply" in text:
            wait_until(lambda: run("sh", TAKE_UP, system, folder).returncode == 0, BLOCK_SECONDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_each_block_says_whether_it_is_to_be_run(page: Path) -> None:
    assert {kind for kind, _ in blocks(page)} <= RUN.keys() | SHOWN
    assert page.read_text("utf-8").count("```") == 2 * len(blocks(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text("utf-8")) if not (page.parent / link).exists()]
    assert missing == []
