"""Runs the tests that each listed mutation names, on a copy of the packages with that one change in it.

Invariant: a mutation counts as caught only if a named test ran and failed. A copy on which the tests fail without any
change would make every mutation look caught, so they run on the plain copies first.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from tests.mutations.mutation import Mutation, StaleError

ROOT: Final = Path(__file__).parents[2]
COPIED: Final = (
    *("headrace", "schemas", "ingest_api", "processors", "serving", "access", "infra"),
    *("tests", "bench", "examples", "pyproject.toml"),
)
WORKERS: Final = 2
DEADLINE_SECONDS: Final = 120.0
"""For the tests of one mutation: many times what the slowest take."""

PLAIN_DEADLINE_SECONDS: Final = 540.0

PYTEST: Final = (
    *(sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "--tb=line", "-W", "ignore"),
    *("-p", "no:cacheprovider", "-p", "tests.mutations.calm_hypothesis"),
)
_PASSED, _FAILED = 0, 1  # pytest's exit codes; the others say that no test told anything


class Verdict(Enum):
    """What became of a mutation; all but the first are failures."""

    CAUGHT = "caught"
    SURVIVED = "SURVIVED"
    STALE = "does not apply any more"
    LATE = "took too long"
    BROKEN = "broke the run of the tests instead of a test"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict and, where it is a failure, what was printed."""

    mutation: Mutation
    verdict: Verdict
    printed: str


class Copy:
    """A copy of the packages and their tests.

    Args:
        folder: where it is made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in COPIED:
            source, target = ROOT / name, folder / name
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                shutil.copy2(source, target)

    def run(self, tests: Sequence[str], deadline_seconds: float) -> tuple[int, str]:
        """Runs tests and returns pytest's exit code and what it printed.

        Raises:
            subprocess.TimeoutExpired: they took longer.
        """
        environment = os.environ | {
            "PYTHONPATH": str(self._folder),  # for processes that tests start
            "PYTHONHASHSEED": "0",
            # The bytecode of the plain modules is there; that of a changed one must not be there after it.
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        done = subprocess.run(
            [*PYTEST, *tests],
            cwd=self._folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=deadline_seconds,
            check=False,
        )
        return done.returncode, done.stdout

    def try_out(self, mutation: Mutation) -> Outcome:
        """Applies a mutation, runs its tests, and takes it back."""
        path = self._folder / mutation.file
        plain = path.read_text("utf-8")
        try:
            path.write_text(mutation.applied(plain), "utf-8")
        except StaleError as error:
            return Outcome(mutation, Verdict.STALE, str(error))
        try:
            code, printed = self.run(mutation.tests, DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            return Outcome(mutation, Verdict.LATE, f"no end after {DEADLINE_SECONDS:g} s")
        finally:
            shutil.copy2(ROOT / mutation.file, path)
        verdicts = {_PASSED: Verdict.SURVIVED, _FAILED: Verdict.CAUGHT}
        return Outcome(mutation, verdicts.get(code, Verdict.BROKEN), printed)


def run_all(mutations: Sequence[Mutation], scratch: Path, tell: Callable[[Outcome], None]) -> list[Outcome]:
    """Returns what became of each mutation, in their order.

    Args:
        mutations: which.
        scratch: an empty folder for the copies.
        tell: called with each outcome as it comes.

    Raises:
        AssertionError: a named test fails on the plain copy.
    """
    copies: SimpleQueue[Copy] = SimpleQueue()
    for number in range(WORKERS):
        copies.put(Copy(scratch / str(number)))
    _check_plain(copies, mutations)

    def one(mutation: Mutation) -> Outcome:
        copy = copies.get()
        try:
            outcome = copy.try_out(mutation)
        finally:
            copies.put(copy)
        tell(outcome)
        return outcome

    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(one, mutations))


def _check_plain(copies: "SimpleQueue[Copy]", mutations: Iterable[Mutation]) -> None:
    tests = list(dict.fromkeys(test for mutation in mutations for test in mutation.tests))
    copy = copies.get()
    code, printed = copy.run(tests, PLAIN_DEADLINE_SECONDS)
    copies.put(copy)
    assert code == _PASSED, f"the tests must pass without any change first:\n{printed}"
