"""A whole Headrace for the length of a block: ``headrace up`` in a data folder of its own, on free ports.

The demo, the benchmarks and the tests start it from here.

Invariant: when the block is left, however, nothing of it runs; no setting of whoever starts it reaches it.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final

from infra.paths import admin_key_path
from infra.process.parent_death import tied_to_parent
from infra.settings import Settings

HEADRACE: Final = (sys.executable, "-m", "headrace")

START_SECONDS: Final = 90.0
STOP_SECONDS: Final = 20.0
POLL_SECONDS: Final = 0.05

LOG_FILE: Final = "up.log"
OUTPUT_FILE: Final = "up.out"
QUOTED_LINES: Final = 20
"""How much of its log an error shows."""


class UpError(Exception):
    """`headrace up` did not start, ended by itself, or did not stop; the message says why."""


@dataclass(frozen=True, slots=True)
class System:
    """Where everything is.

    Attributes:
        data: the data folder; ``up.log`` in it has what all processes logged.
        kafka: ``HOST:PORT``.
        processor: URL of the first processor's health and metrics.
        registry: URL.
        ingest: URL.
        serving: URL.
        key: the operator's.
        pid: of `headrace up`.
    """

    data: Path
    kafka: str
    processor: str
    registry: str
    ingest: str
    serving: str
    key: str
    pid: int

    @property
    def settings(self) -> Settings:
        """Settings with which code in this process reads what is there."""
        return Settings(data=self.data, bootstrap=self.kafka)


@contextmanager
def running_system(data: Path, *flags: str) -> Iterator[System]:
    """Starts everything, yields where it is once all is ready, and stops it.

    Args:
        data: the data folder; made if missing, and left as it is at the end.
        flags: more of `headrace up`.

    Raises:
        UpError: it did not become ready, had ended before the block did, or did not stop in time.
    """
    data.mkdir(parents=True, exist_ok=True)
    ports = ("--kafka-port=0", "--ingest-port=0", "--serving-port=0", "--processor-port=0")
    with (data / OUTPUT_FILE).open("wb") as output, (data / LOG_FILE).open("wb") as log:
        process = subprocess.Popen(
            tied_to_parent([*HEADRACE, "up", "--data", str(data), *ports, *flags]),
            stdout=output,
            stderr=log,
            cwd=data,
            env=clean_environment(os.environ),
        )
    try:
        yield _until_ready(process, data)
        if process.poll() is not None:
            raise UpError(_ended(process, data))
    finally:
        _stop(process)


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns an environment without settings of Headrace, so that what runs in it is the same everywhere."""
    return {name: value for name, value in environ.items() if name == "HEADRACE_CACHE" or "HEADRACE_" not in name}


def _until_ready(process: "subprocess.Popen[bytes]", data: Path) -> System:
    deadline = time.monotonic() + START_SECONDS
    pause = Event()
    while True:
        lines = (data / OUTPUT_FILE).read_text("utf-8").splitlines()
        if any(line.startswith("ready") for line in lines):
            break
        if process.poll() is not None:
            raise UpError(_ended(process, data))
        if time.monotonic() > deadline:
            raise UpError(f"`headrace up` was not ready within {START_SECONDS:.0f} s; {_quote(data)}")
        pause.wait(POLL_SECONDS)
    at: dict[str, str] = {}
    for line in lines:
        name, _, address = line.partition(" ")
        at.setdefault(name, address.strip())
    key = admin_key_path(data).read_text("ascii").strip()
    return System(data, at["kafka"], at["processor"], at["registry"], at["ingest"], at["serving"], key, process.pid)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise UpError(f"`headrace up` did not stop within {STOP_SECONDS:.0f} s and was killed") from None


def _ended(process: "subprocess.Popen[bytes]", data: Path) -> str:
    return f"`headrace up` ended with exit status {process.wait()}; {_quote(data)}"


def _quote(data: Path) -> str:
    tail = (data / LOG_FILE).read_text("utf-8", errors="replace").splitlines()[-QUOTED_LINES:]
    return "its log ends with:\n" + "\n".join(tail)
