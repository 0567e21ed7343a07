"""The package as users get it: built, installed into an empty environment, and used from there."""

import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from infra.process.exit_codes import ExitCode
from tests.environments.test_make import made_from, megabytes
from tests.support.waiting import wait_until
from tests.test_locks import HEAVIEST_MB, PACKAGES, locked

FREE_PORTS: Final = ("--kafka-port=0", "--ingest-port=0", "--serving-port=0", "--processor-port=0")
TAKE_UP_SECONDS: Final = 60.0
STOP_SECONDS: Final = 60.0


def build(folder: Path, kind: str, into: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(into)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    [built] = into.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that was built from the sdist, and is the one that the folder gives, byte for byte."""
    folder = tmp_path_factory.mktemp("built")
    source = made_from(folder / "source")
    with tarfile.open(build(source, "sdist", folder / "sdist")) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    [unpacked] = (folder / "unpacked").iterdir()
    wheel = build(unpacked, "wheel", folder / "wheel")
    assert wheel.read_bytes() == build(source, "wheel", folder / "direct").read_bytes()
    return wheel


class Environment:
    """An environment of its own, with commands that see nothing of this repository."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        self.bin = folder / "venv/bin"
        self.folder = folder
        # What a user's pip would choose is not what is tested: it chooses what is locked.
        constraints = folder / "constraints.txt"
        marked = ((each, f" ; {each.marker}" if each.marker else "") for each in locked("requirements.lock"))
        constraints.write_text("".join(f"{each.name}{each.specifier}{marker}\n" for each, marker in marked))
        hidden = {"PYTHONPATH", "VIRTUAL_ENV"}
        ours = {
            name: value for name, value in os.environ.items() if name == "HEADRACE_CACHE" or "HEADRACE_" not in name
        }
        self.environ = {name: value for name, value in ours.items() if name not in hidden} | {
            "PATH": os.pathsep.join([str(self.bin), os.environ["PATH"]]),
            "PIP_CONSTRAINT": str(constraints),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, env=self.environ, capture_output=True, text=True, check=False, timeout=300
        )

    def must(self, *command: str) -> str:
        done = self.run(*command)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @contextmanager
    def up(self) -> Iterator[None]:
        """``headrace up`` on free ports, known to the commands run meanwhile."""
        command = ["headrace", "up", *FREE_PORTS]
        with (
            (self.folder / "up.log").open("w") as log,
            subprocess.Popen(
                command, cwd=self.folder, env=self.environ, stdout=subprocess.PIPE, stderr=log, text=True
            ) as process,
        ):
            try:
                assert process.stdout
                lines = []
                for line in process.stdout:
                    lines.append(line)
                    if line.startswith("ready"):
                        break
                printed = "".join(lines)
                found = dict(re.findall(r"^(kafka|ingest|serving) +(\S+)$", printed, re.MULTILINE))
                assert len(found) == 3, printed + (self.folder / "up.log").read_text()
                self.environ["HEADRACE_BOOTSTRAP"] = found["kafka"]
                self.environ["HEADRACE_INGEST_PORT"] = found["ingest"].rpartition(":")[2]
                self.environ["HEADRACE_SERVING_PORT"] = found["serving"].rpartition(":")[2]
                yield
            finally:
                process.terminate()
                try:
                    process.wait(STOP_SECONDS)
                finally:
                    process.kill()


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Only the wheel and what it asks for."""
    made = Environment(tmp_path_factory.mktemp("environment"))
    made.must("python", "-m", "pip", "install", "--quiet", str(wheel))
    return made


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_wheel_has_our_packages_and_says_that_they_are_typed(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if not name.startswith("headrace-")} == set(PACKAGES)
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert "infra/local_kafka/jars.lock" in names


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_installed_package_runs_the_tour(environment: Environment) -> None:
    site = Path(environment.must("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    brought = sum(megabytes(site / name) for name in ("pip", "setuptools"))
    assert megabytes(site) - brought < HEAVIEST_MB

    refused = environment.run("headrace", "up", *FREE_PORTS)
    assert refused.returncode == ExitCode.USAGE
    named = re.search(r"`(.* -m pip install .*)`", refused.stderr)
    assert named, refused.stderr
    environment.must(*shlex.split(named[1]))
    environment.must("python", "-m", "pip", "check")

    with environment.up():
        environment.must("headrace", "init", "features")
        environment.must("headrace", "apply", "features")
        events = ("transactions", "features/transactions.jsonl")
        wait_until(
            lambda: (
                environment.run("headrace", "ingest", *events, "--dry-run").returncode == 0
                and environment.run("headrace", "get", "fraud_detection", "user_id=u1").returncode == 0
            ),
            TAKE_UP_SECONDS,
        )
        environment.must("headrace", "ingest", *events)
        answer = json.loads(environment.must("headrace", "get", "fraud_detection", "user_id=u1", "--json"))
        features = [feature["name"] for feature in answer["metadata"]["features"]]
        values = dict(zip(features, answer["result"]["features"], strict=True))
        assert values["user_activity.spent"] == 60.0
        assert values["user_amounts.merchants"] == ["books", "coffee"]
        environment.must("headrace", "doctor")
