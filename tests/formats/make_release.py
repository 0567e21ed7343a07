"""Writes what a release leaves behind (`tests.formats.release`), of the code of the commit that stands here."""

import argparse
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from examples.running import System, running_system
from tests.formats.release import RELEASES, REPOSITORY, RETIRED, answers, ingest, pack


def record(user: str, at: datetime, **values: Any) -> dict[str, Any]:
    """Returns an event as producers send it."""
    return {"user": user, "at": at.isoformat(), **values}


def apply(system: System, folder: Path, text: str) -> None:
    """Puts a repository of one module in force."""
    folder.mkdir(exist_ok=True)
    (folder / "features.py").write_text(text, "utf-8")
    command = [sys.executable, "-m", "headrace", "apply", str(folder), "--bootstrap", system.kafka, "--allow-removals"]
    subprocess.run(command, check=True)


def send(system: System, now: datetime) -> None:
    """Sends what every kind of state is made of: new, late, resent and corrected events, nulls, and a dead letter."""
    for hours in range(30, 0, -1):
        users = [record(user, now - timedelta(hours=hours), amount=hours / 7, clicks=hours) for user in ("ann", "bob")]
        assert ingest(system, *users) == []
    tagged = record("ключ\U0001f600", now - timedelta(minutes=3), tags=["a", None, ""])
    assert ingest(system, tagged, record("ann", now, amount=None, clicks=None)) == []
    assert ingest(system, record("ann", now - timedelta(hours=5), amount=0.1, clicks=2**62)) == []
    assert ingest(system, record("ann", now - timedelta(hours=5), amount=0.2, clicks=7)) == []
    assert ingest(system, record("bob", now - timedelta(days=40), amount=1.0, clicks=1)) == []
    ingest(system, record("broken", now, amount=1.0))


def commit() -> str:
    """Returns the commit that stands here: the release's code, which upgrades from it are tested with."""
    git = shutil.which("git") or "git"
    return subprocess.run([git, "rev-parse", "HEAD"], cwd=RELEASES, check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.formats.make_release", description=__doc__)
    parser.add_argument("version")
    version = parser.parse_args().version
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        with running_system(data) as system:
            apply(system, Path(folder) / "repository", REPOSITORY + RETIRED)
            send(system, datetime.now(UTC))
            apply(system, Path(folder) / "repository", REPOSITORY)
            send(system, datetime.now(UTC))
            expected = answers(system)
        archive = pack(data, version, expected)
        (RELEASES / f"{version}.commit").write_text(commit(), "ascii")
        print(f"{archive}: {archive.stat().st_size} bytes")  # noqa: T201 - what the command is asked for


if __name__ == "__main__":
    main()
