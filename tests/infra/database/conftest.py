"""What tests of databases share: folders, resources, and a writer in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from infra.database.layout import DatabaseResources
from infra.database.primary import PrimaryDatabase
from infra.database.secondary import SecondaryDatabase

_ROOT = Path(__file__).parents[3]
MEMTABLE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """Where the database of one partition lives."""

    root: Path
    resources: DatabaseResources

    @property
    def path(self) -> Path:
        return self.root / "state"

    @property
    def version_file(self) -> Path:
        return self.root / "state.version"

    @property
    def secondaries(self) -> Path:
        return self.root / "secondaries"

    def primary(self, lock_seconds: float = 5) -> PrimaryDatabase:
        """Opens for writing, promoting an empty database if there was none."""
        database = PrimaryDatabase.open(
            self.path, version_file=self.version_file, resources=self.resources, lock_seconds=lock_seconds
        )
        if database.rebuilding:
            database.promote()
        return database

    def secondary(self) -> SecondaryDatabase:
        """Opens for reading."""
        return SecondaryDatabase(self.path, self.secondaries, self.version_file, resources=self.resources)


class WriterProcess:
    """The other end of ``tests.infra.database.writer_process``."""

    def __init__(self, place: Place, memtable_bytes: int) -> None:
        arguments = [str(place.path), str(place.version_file), str(memtable_bytes)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.infra.database.writer_process", *arguments],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, command: str, *arguments: Any, **options: Any) -> Any:
        """Runs a command and returns its result."""
        self.start(command, *arguments, **options)
        return self.result()

    def start(self, command: str, *arguments: Any, **options: Any) -> None:
        """Begins a command."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([command, arguments, options]) + "\n")
        self.process.stdin.flush()

    def result(self) -> Any:
        """Returns the result of the command begun last."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the writer ended with {self.process.wait()}"
        return json.loads(line)

    def kill(self) -> None:
        """Ends the process as kill -9 does."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, DatabaseResources.of_sizes(memtable_bytes=MEMTABLE_BYTES))


@pytest.fixture
def start_writer(place: Place) -> Iterator[Callable[..., WriterProcess]]:
    with ExitStack() as processes:

        def start(memtable_bytes: int = MEMTABLE_BYTES) -> WriterProcess:
            return processes.enter_context(WriterProcess(place, memtable_bytes))

        yield start


@pytest.fixture
def writer(start_writer: Callable[..., WriterProcess]) -> WriterProcess:
    """A writer with an empty, published database."""
    process = start_writer()
    assert process("open")
    process("promote")
    return process
