"""Processors of a release and of this code take turns on one Kafka and data folder, there and back; nothing is lost.

The release's code comes from the history of the repository: ``releases/VERSION.commit`` names the commit.

Invariant: a processor that is meant to be of the release says itself that it has loaded the release's modules.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from infra.kafka.definitions import DefinitionsLog
from infra.process.exit_codes import ExitCode
from tests.formats.release import RELEASES
from tests.support.site import ProcessorProcess, Site, code_environment, processor_process, settings_of, spending
from tests.support.waiting import wait_until
from tests.system.test_processors import PATIENCE, USERS, Load

ROOT = Path(__file__).parents[2]
COMMITS = {path.stem: path.read_text("ascii").strip() for path in sorted(RELEASES.glob("*.commit"))}
ROUNDS = 40
"""Of events, between one step of the upgrade and the next."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def code_of(version: str, folder: Path) -> Path:
    """Lays out the code of a release; a test is not run where the history is not there."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("not run: git is not installed")
    command = [git, "-C", str(ROOT), "archive", "--format=tar", COMMITS[version]]
    archive = subprocess.run(command, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"not run: commit {COMMITS[version]} of release {version} is not in the history that is here")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder


@pytest.fixture
def site(bootstrap: str, tmp_path: Path, unique: str) -> Iterator[Site]:
    site = Site(bootstrap, unique, tmp_path, partitions=4)
    yield site
    site.remove()


def apply(site: Site, code: Path) -> None:
    """Puts a view in force as the release does."""
    repository = site.folder / "repository"
    repository.mkdir()
    (repository / "features.py").write_text(spending(), "utf-8")
    subprocess.run(
        [sys.executable, "-m", "headrace", "apply", str(repository)],
        cwd=code,
        env={**os.environ, **code_environment(code), **settings_of(site.settings(), code)},
        check=True,
    )
    definitions = DefinitionsLog(site.bootstrap)
    definitions.start()
    definitions.read_to_end(20)
    plan = definitions.plan(site.workspace)
    definitions.stop()
    assert plan is not None
    site.plans.append(plan)


def loaded_from(running: ProcessorProcess) -> Path:
    """Returns the folder that the log of a processor of a release names for its code."""
    found = re.search(r"^# (?:code object from|.* matches) '?(/.*)/processors/app\.py", running.log, re.MULTILINE)
    assert found is not None, "the processor does not say which code it runs"
    return Path(found[1])


def keeps(running: ProcessorProcess, folder: Path) -> bool:
    """Whether a processor has files of a folder open."""
    process = psutil.Process(running.process.pid)
    return any(Path(each.path).is_relative_to(folder) for each in process.open_files())


def test_the_code_of_each_release_whose_folder_is_kept_is_known() -> None:
    assert COMMITS.keys() == {path.name.removesuffix(".tar.xz") for path in RELEASES.glob("*.tar.xz")} != set()


@pytest.mark.parametrize("version", COMMITS)
def test_processors_of_a_release_and_of_this_code_take_turns_and_every_event_counts_once(
    version: str, site: Site, tmp_path: Path
) -> None:
    code = code_of(version, tmp_path / "code")
    apply(site, code)
    with ExitStack() as processors:

        def start(code: Path | None) -> ProcessorProcess:
            running = processors.enter_context(processor_process(site, code))
            running.wait_ready(PATIENCE)
            wait_until(lambda: keeps(running, site.data / "state"), PATIENCE)
            assert code is None or loaded_from(running) == code
            load.further(ROUNDS)
            return running

        def stop(running: ProcessorProcess, other: ProcessorProcess) -> None:
            assert running.stop() == ExitCode.OK, running.log
            other.wait_ready(PATIENCE)
            load.further(ROUNDS)

        with Load(site) as load:
            first, second = start(code), start(code)
            stop(first, second)
            third = start(None)
            stop(second, third)
            fourth = start(code)
            stop(third, fourth)
            fifth = start(None)
            stop(fourth, fifth)
        site.waits_for(load.expected(), seconds=PATIENCE)
        assert site.logged() == {user: list(range(load.rounds)) for user in USERS}
        assert fifth.stop() == ExitCode.OK, fifth.log
    assert site.dead_letters() == []
