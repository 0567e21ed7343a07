import inspect
import pkgutil
from typing import Any

import pytest
from click.testing import CliRunner

from headrace.cli import main
from infra.process.exit_codes import ExitCode
from infra.settings import Settings

Started = list[tuple[Any, ...]]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """What a role was started with, without starting it."""
    found: Started = []
    monkeypatch.setattr("headrace.commands.processor.run_role", lambda *arguments: found.append(arguments))
    return found


def test_it_runs_its_role_with_the_settings_that_were_given(started: Started) -> None:
    done = CliRunner().invoke(main, ["processor", "--bootstrap", "kafka:9092", "--watchdog-seconds", "3.5"])
    assert done.exit_code == ExitCode.OK, done.output
    assert started == [
        ("processor", "processors.app:run_processor", Settings(bootstrap="kafka:9092", watchdog_seconds=3.5))
    ]


def test_its_role_is_a_coroutine_that_takes_settings() -> None:
    entry = pkgutil.resolve_name("processors.app:run_processor")
    assert inspect.iscoroutinefunction(entry)
    assert list(inspect.signature(entry).parameters) == ["settings"]


@pytest.mark.parametrize("flag", ["--ingest-port", "--serving-port", "--ack-deadline-seconds"])
def test_a_setting_of_another_role_is_wrong_usage(flag: str, started: Started) -> None:
    assert CliRunner().invoke(main, ["processor", flag, "1"]).exit_code == ExitCode.USAGE
    assert started == []
