"""A private PostgreSQL: its folder, its port and its server are the test run's own, and end with it."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from infra.process.parent_death import tied_to_parent
from infra.process.ports import LOOPBACK, free_port
from tests.support.waiting import wait_until

INSTALLED: Final = "/usr/lib/postgresql/*/bin"
"""Where Debian keeps what it does not put on the path."""

START_SECONDS: Final = 30.0

UNSAFE: Final = ("fsync=off", "full_page_writes=off", "max_connections=30")
"""What makes it fast where it only has to outlast its own crash, not the machine's."""


def program(name: str) -> str | None:
    """Returns where a program of PostgreSQL's is; None if it is not installed."""
    found = shutil.which(name)
    if found is not None and Path(found).resolve().parent.joinpath("initdb").exists():
        return str(Path(found).resolve())
    folders = sorted(Path("/").glob(INSTALLED.removeprefix("/")), reverse=True)
    return next((str(folder / name) for folder in folders if (folder / name).exists()), found)


@dataclass
class PostgreSql:
    """A server.

    Attributes:
        folder: of its data.
        port: that it listens on, on the loopback address.
    """

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Returns the URL of its database, as the setting ``access_url`` takes it."""
        return f"postgresql://postgres@{LOOPBACK}:{self.port}/postgres"

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        options = [part for option in UNSAFE for part in ("-c", option)]
        addresses = ["-h", LOOPBACK, "-p", str(self.port), "-k", ""]
        command = [_program("postgres"), "-D", str(self.folder), *addresses, *options]
        self.process = subprocess.Popen(
            tied_to_parent([*_as_nobody(), *command]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(self._answers, START_SECONDS)

    def kill(self) -> None:
        """Ends it as a crash does, with all of its processes."""
        assert self.process is not None
        subprocess.run(
            [*_as_nobody(), _program("pg_ctl"), "-D", str(self.folder), "-m", "immediate", "-w", "stop"],
            check=False,
            capture_output=True,
        )
        self.process.wait(START_SECONDS)
        self.process = None

    def _answers(self) -> bool:
        ready = [_program("pg_isready"), "-h", LOOPBACK, "-p", str(self.port), "-q"]
        return subprocess.run(ready, check=False).returncode == 0


def _program(name: str) -> str:
    found = program(name)
    assert found is not None
    return found


def _as_nobody() -> list[str]:
    """Returns what runs a command as somebody else: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam("nobody")
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


@contextmanager
def postgresql() -> Iterator[PostgreSql]:
    """Runs a server over an empty database, while the block runs."""
    if program("initdb") is None:
        pytest.skip("not run: PostgreSQL is not installed (initdb was not found)")
    # Not in pytest's folder, through which nobody but its owner may pass.
    data = Path(tempfile.mkdtemp(prefix="headrace-postgresql-"))
    try:
        if os.geteuid() == 0:
            user = pwd.getpwnam("nobody")
            os.chown(data, user.pw_uid, user.pw_gid)
        initdb = [_program("initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8"]
        made = subprocess.run([*_as_nobody(), *initdb], check=False, capture_output=True, text=True, cwd=data)
        assert made.returncode == 0, f"{made.stdout}\n{made.stderr}"
        server = PostgreSql(data, free_port())
        server.start()
        try:
            yield server
        finally:
            if server.process is not None:
                server.kill()
    finally:
        shutil.rmtree(data)
