"""How the tests run side by side: one broker for all, modules kept together, and the time of each lane.

A pytest plugin. Lanes: ``long`` (`make long`), ``slow`` (only `make check`), ``broker`` (needs a Kafka) and ``unit``
(the rest); a test belongs to the first of them whose mark it has. The mark ``broker`` is set here, by the fixtures that
a test uses.

Invariant: a module's tests run in one worker, one after the other, so what a module or a folder shares is made once.
"""

import os
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.support.kafka import BROKER_VARIABLE, SharedBroker

TIMES_VARIABLE: Final = "LANE_TIMES"
"""Names a file whose lines (what ran before these tests, and its seconds) the summary repeats.

Not ``HEADRACE_…``: these are settings, and commands refuse those they do not know.
"""

LANES: Final = ("long", "slow", "broker", "unit")

BROKER_FIXTURES: Final = frozenset({"bootstrap", "kafka", "system"})

TOGETHER: Final = ("tests/headrace/commands/", "tests/system/")
"""Folders whose modules share a system of processes: one worker runs each of them."""


class ModulesTogether(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """Gives a worker whole modules, or whole folders where these share a system."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid.partition("::")[0])


def group_of(module: str) -> str:
    """Returns which tests run in the same worker as this module's, by its path from the root of the repository."""
    return next((folder for folder in TOGETHER if module.startswith(folder)), module)


class LanesPlugin:
    """Hooks of the process that prints; with xdist, workers run the tests and send their reports here."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._tests: dict[str, set[str]] = defaultdict(set)
        self._broker: SharedBroker | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Starts the broker before xdist starts the workers, which inherit its address."""
        if session.config.option.numprocesses and not os.environ.get(BROKER_VARIABLE) and _wants_broker(session.config):
            self._broker = SharedBroker()

    def pytest_unconfigure(self) -> None:
        """Ends the broker, whatever became of the run."""
        if self._broker is not None:
            self._broker.stop()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> LoadScopeScheduling:
        """Returns the scheduler that keeps modules whole."""
        return ModulesTogether(config, log)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Adds up what a test, its set-up and its end took."""
        lane = next((lane for lane in LANES if lane in report.keywords), "unit")
        self._seconds[lane] += report.duration
        self._tests[lane].add(report.nodeid)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Prints a line for each lane; tests of several lanes run at the same time, so theirs add up to more."""
        terminalreporter.section("lanes")
        before = os.environ.get(TIMES_VARIABLE)
        if before is not None:
            terminalreporter.write(Path(before).read_text(encoding="utf-8"))
        for lane in LANES:
            if self._tests[lane]:
                terminalreporter.write_line(
                    f"{lane:<12} {len(self._tests[lane]):>5} tests {self._seconds[lane]:>7.0f} s, side by side"
                )


def _wants_broker(config: pytest.Config) -> bool:
    expression = str(config.option.markexpr)
    return not config.option.collectonly and "not broker" not in expression


def pytest_configure(config: pytest.Config) -> None:
    """Registers the plugin of the process that prints."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(LanesPlugin(), "lanes")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests that need a Kafka, keeps modules together, and lets what takes longest begin first."""
    groups: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & BROKER_FIXTURES:
            item.add_marker("broker")
        groups[group_of(item.nodeid.partition("::")[0])].append(item)
    items[:] = [item for group in sorted(groups.values(), key=_weight) for item in group]


def _weight(group: list[pytest.Item]) -> int:
    marks = {mark.name for item in group for mark in item.iter_markers()}
    return 0 if "long" in marks else 1 if "slow" in marks else 2 if "broker" in marks else 3
