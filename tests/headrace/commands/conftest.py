"""A running Headrace with the repository that ``headrace init`` writes, for commands that talk to its servers."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from examples.running import System, running_system
from headrace.cli import main
from tests.support.waiting import wait_until

TAKE_UP_SECONDS = 30.0

Headrace = Callable[..., Result]


@pytest.fixture(scope="session")
def transactions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("init") / "features"
    assert CliRunner().invoke(main, ["init", str(folder)]).exit_code == 0
    return folder


@pytest.fixture(scope="session")
def system(transactions: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("up")) as running:
        run = command_line(running)
        applied = run("apply", str(transactions))
        assert applied.exit_code == 0, applied.output
        wait_until(lambda: run("get", "fraud_detection", "user_id=nobody").exit_code == 0, TAKE_UP_SECONDS)
        events = str(transactions / "transactions.jsonl")
        wait_until(lambda: run("ingest", "transactions", events, "--dry-run").exit_code == 0, TAKE_UP_SECONDS)
        yield running


@pytest.fixture
def headrace(system: System) -> Headrace:
    """Runs a command with the settings of the running system."""
    return command_line(system)


def command_line(system: System) -> Headrace:
    environ = {
        "HEADRACE_DATA": str(system.data),
        "HEADRACE_BOOTSTRAP": system.kafka,
        "HEADRACE_INGEST_PORT": system.ingest.rpartition(":")[2],
        "HEADRACE_SERVING_PORT": system.serving.rpartition(":")[2],
    }

    def run(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner(env=os.environ | environ).invoke(main, arguments, input=stdin)

    return run
