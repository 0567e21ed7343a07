"""Real processes for the benchmarks: started, watched, measured and stopped.

Invariant: whatever a benchmark starts is stopped when its ``with`` block ends, however that ends; all files are in
temporary folders, all ports are free ones.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil
from prometheus_client.metrics import MetricWrapperBase

from examples.processes import processes_of
from examples.running import System, running_system
from infra.kafka.definitions import DefinitionsLog
from infra.metrics import name_of
from infra.process.parent_death import tied_to_parent
from infra.settings import Settings
from schemas.definitions.plan import Plan

ROOT: Final = Path(__file__).resolve().parent.parent
REPOSITORIES: Final = Path(__file__).resolve().parent / "repositories"

START_SECONDS: Final = 90.0
STOP_SECONDS: Final = 15.0
QUOTED_BYTES: Final = 3_000
"""How much of a dead process's output an error shows."""

MIB: Final = 1024 * 1024


class BenchmarkError(Exception):
    """A benchmark could not be run, or its results are wrong."""


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Yields a temporary folder and deletes it at the end."""
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        yield Path(folder)


def wait_for(condition: Callable[[], bool], what: str, seconds: float, pause: float = 0.05) -> None:
    """Returns as soon as a condition holds.

    Raises:
        BenchmarkError: it did not hold in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{what}: not within {seconds:g} s")
        time.sleep(pause)


@dataclass(frozen=True, slots=True)
class Memory:
    """What a process holds, in MiB: all resident pages, its share of them, and those that are no file's."""

    resident: float
    proportional: float
    anonymous: float


def memory_of(pid: int) -> Memory:
    """Returns what a process holds now (Linux: ``smaps_rollup``)."""
    sizes: dict[str, float] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]:
        name, size, _ = line.split()
        sizes[name] = int(size) / 1024
    return Memory(sizes["Rss:"], sizes["Pss:"], sizes["Anonymous:"])


def cpu_seconds(pid: int) -> float:
    """Returns the CPU time that a process has used so far, in seconds."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def cpu_by_thread(pid: int) -> dict[str, float]:
    """Returns the CPU time of a process by kind of thread: the main one, or what the system calls the others."""
    seconds: dict[str, float] = defaultdict(float)
    for thread in psutil.Process(pid).threads():
        try:
            name = Path(f"/proc/{pid}/task/{thread.id}/comm").read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            continue
        seconds["main thread" if thread.id == pid else name] += thread.user_time + thread.system_time
    return dict(seconds)


class Child:
    """A process that lives as long as its ``with`` block.

    Args:
        argv: program and arguments.
        output: file that takes what it prints.
        environ: variables on top of this process's own.
    """

    def __init__(self, argv: Sequence[str], output: Path, environ: Mapping[str, str] | None = None) -> None:
        self._output = output
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                tied_to_parent(argv),
                cwd=ROOT,
                env={**os.environ, **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def output(self) -> str:
        """Returns what it has printed so far."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    def check(self) -> bool:
        """Returns True while it runs, for use in conditions.

        Raises:
            BenchmarkError: it has ended.
        """
        if self._process.poll() is not None:
            raise BenchmarkError(f"a process ended with {self._process.returncode}: {self.output()[-QUOTED_BYTES:]}")
        return True

    def stop(self) -> None:
        """Asks it to end, and kills it if it does not."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def answers(url: str) -> bool:
    """Tells whether a URL answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - a loopback address made here
            return bool(response.status == 200)
    except OSError:
        return False


def metric(url: str, counted: MetricWrapperBase, **labels: str) -> float:
    """Returns the sum of a process's series of one metric that have the given labels.

    Args:
        url: of the process.
        counted: the metric.
        labels: which series.
    """
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as response:  # noqa: S310 - a loopback address made here
        text: str = response.read().decode()
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    lines = (line for line in text.splitlines() if line.startswith(name_of(counted) + "{"))
    return sum(float(line.rpartition(" ")[2]) for line in lines if all(pair in line for pair in wanted))


def current_plan(settings: Settings) -> Plan:
    """Returns the plan that is applied to the settings' workspace.

    Raises:
        BenchmarkError: none is.
    """
    follower = DefinitionsLog(settings.bootstrap)
    follower.start()
    try:
        follower.read_to_end(START_SECONDS)
        plan = follower.plan(settings.workspace)
    finally:
        follower.stop()
    if plan is None:
        raise BenchmarkError("no plan is applied")
    return plan


def pid_of(system: System, role: str) -> int:
    """Returns the process id of a role.

    Raises:
        BenchmarkError: it does not run.
    """
    found = processes_of(system, role)
    if not found:
        raise BenchmarkError(f"`headrace up` runs no {role}")
    return int(found[0].pid)


@contextlib.contextmanager
def system_of(repository: Path) -> Iterator[System]:
    """Yields a whole system with a feature repository applied, and stops it at the end."""
    with (
        scratch() as folder,
        running_system(folder / "data", "--repo", str(repository), "--log-level", "warning") as system,
    ):
        yield system
