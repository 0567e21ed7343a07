"""What the demo runs on: a system in a temporary folder, with the demo's feature repository."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Final

from examples.running import HEADRACE, System, clean_environment, running_system

REPOSITORY: Final = Path(__file__).parent / "repository"
WORKSPACE: Final = "prod"
SOURCE: Final = "flights"
TOPIC: Final = f"{WORKSPACE}.source.{SOURCE}"

POLL_SECONDS: Final = 0.05


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


@contextlib.contextmanager
def demo_system(*, keep: bool) -> Iterator[System]:
    """Starts everything, yields where it is, and stops it.

    Args:
        keep: whether to leave the data folder.

    Raises:
        UpError: it did not become ready, or did not stop.
    """
    folder = Path(tempfile.mkdtemp(prefix="headrace-demo-"))
    try:
        with running_system(folder) as system:
            yield system
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def apply_repository(system: System) -> str:
    """Applies the feature repository and returns what ``headrace apply`` says.

    Raises:
        DemoError: it was refused.
    """
    command = [*HEADRACE, "apply", str(REPOSITORY), "--bootstrap", system.kafka]
    environ = clean_environment(os.environ)
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=system.data, env=environ)
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
