"""A whole Headrace for the length of a block: ``headrace up`` in a folder of its own, on free ports.

Invariant: when the block is left, however, nothing of it runs and, unless it is to be kept, nothing of it is on disk.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final

from infra.process.parent_death import tied_to_parent

HEADRACE: Final = (sys.executable, "-m", "headrace")
REPOSITORY: Final = Path(__file__).parent / "repository"
WORKSPACE: Final = "prod"
SOURCE: Final = "flights"
TOPIC: Final = f"{WORKSPACE}.source.{SOURCE}"

STOP_SECONDS: Final = 20.0
POLL_SECONDS: Final = 0.05
LOG_LINES: Final = 20


@dataclass(frozen=True, slots=True)
class System:
    """Where everything is: the data folder, Kafka's ``HOST:PORT``, URLs, and the operator's key."""

    data: Path
    kafka: str
    registry: str
    ingest: str
    serving: str
    key: str


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


@contextlib.contextmanager
def running_system(*, keep: bool) -> Iterator[System]:
    """Starts everything, yields where it is, and stops it.

    Args:
        keep: whether to leave the data folder.

    Raises:
        DemoError: it did not become ready.
    """
    folder = Path(tempfile.mkdtemp(prefix="headrace-demo-"))
    log = folder / "up.log"
    flags = ["--data", str(folder), "--kafka-port", "0", "--ingest-port", "0", "--serving-port", "0"]
    try:
        with log.open("w") as errors:
            process = subprocess.Popen(
                tied_to_parent([*HEADRACE, "up", *flags]),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=folder,
                env=_environment(),
            )
        with process:
            try:
                yield _until_ready(process, log, folder)
            finally:
                _stop(process)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def apply_repository(system: System) -> str:
    """Applies the feature repository and returns what ``headrace apply`` says.

    Raises:
        DemoError: it was refused.
    """
    command = [*HEADRACE, "apply", str(REPOSITORY), "--bootstrap", system.kafka]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=system.data, env=_environment())
    if done.returncode != 0:
        raise DemoError(f"`headrace apply` ended with exit status {done.returncode}:\n{done.stderr}")
    return done.stdout.rstrip()


def wait_until(holds: Callable[[], bool], what: str, seconds: float) -> None:
    """Returns as soon as a condition holds.

    Raises:
        DemoError: it does not within so many seconds; names ``what``.
    """
    deadline = time.monotonic() + seconds
    pause = Event()
    while not holds():
        if time.monotonic() > deadline:
            raise DemoError(f"{what}: not within {seconds:.0f} s")
        pause.wait(POLL_SECONDS)


def _environment() -> dict[str, str]:
    """Returns the environment without settings of Headrace, so that the demo is the same everywhere."""
    return {name: value for name, value in os.environ.items() if name == "HEADRACE_CACHE" or "HEADRACE_" not in name}


def _until_ready(process: subprocess.Popen[str], log: Path, folder: Path) -> System:
    printed: dict[str, str] = {}
    for line in process.stdout or ():
        if line.startswith("ready"):
            key = (folder / "admin.key").read_text("ascii").strip()
            return System(folder, printed["kafka"], printed["registry"], printed["ingest"], printed["serving"], key)
        name, _, address = line.partition(" ")
        printed[name] = address.strip()
    tail = "\n".join(log.read_text("utf-8").splitlines()[-LOG_LINES:])
    raise DemoError(f"`headrace up` ended with exit status {process.wait()}; its log ends with:\n{tail}")


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
