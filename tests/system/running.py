"""A whole Headrace in processes of its own, for tests that kill, feed and read it as strangers would."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support.waiting import wait_until

START_SECONDS = 90.0
STOP_SECONDS = 15.0


@dataclass
class Running:
    """A system that ``headrace up`` started: what it printed, and its processes."""

    data: Path
    process: subprocess.Popen[str]
    addresses: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def is_ready(self) -> bool:
        return any(line.startswith("ready") for line in self.lines)

    @property
    def key(self) -> str:
        return (self.data / "admin.key").read_text().strip()

    @property
    def tecton_headers(self) -> dict[str, str]:
        return {"Authorization": f"Tecton-key {self.key}"}

    @property
    def snowflake_headers(self) -> dict[str, str]:
        return {"Authorization": f'Snowflake Token="{self.key}"'}

    def children(self, role: str) -> list[psutil.Process]:
        """The live processes of a role, by age."""
        return self._alive(lambda process: f"headrace {role}" in " ".join(process.cmdline()))

    def brokers(self) -> list[psutil.Process]:
        """The live Java processes."""
        return self._alive(lambda process: "java" in process.name())

    def _alive(self, wanted: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.Error):  # it ended meanwhile
                if process.status() != psutil.STATUS_ZOMBIE and wanted(process):
                    found.append((process.create_time(), process))
        return [process for _, process in sorted(found, key=lambda pair: pair[0])]


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[Running]:
    """Starts ``headrace up`` on free ports with its data in ``folder``; stops it, and all it started, at the end."""
    log = (folder / "up.log").open("w")
    command = [sys.executable, "-m", "headrace", "up", "--data", str(folder / "data")]
    command += ["--kafka-port", "0", "--ingest-port", "0", "--serving-port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    system = Running(folder / "data", process)
    reader = threading.Thread(target=_read, args=(system,), daemon=True)
    reader.start()
    try:
        wait_until(lambda: system.is_ready() or process.poll() is not None, START_SECONDS)
        assert system.is_ready(), f"did not start: {system.lines}\n{(folder / 'up.log').read_text()[-4000:]}"
        yield system
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            reader.join()
            if process.stdout is not None:
                process.stdout.close()
            log.close()


def _read(system: Running) -> None:
    assert system.process.stdout is not None
    for line in system.process.stdout:
        name, _, rest = line.strip().partition(" ")
        if "://" in rest or name == "kafka":
            system.addresses[name] = rest.strip()
        system.lines.append(line.strip())
