from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from headrace.cli import main
from headrace.terminal.settings_options import settings_options
from infra.settings import TABLE, Group, Settings, flag_name


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@click.command()
@settings_options(Group.INGEST_PORT | Group.DATA)
@click.option("--extra", default="none")
def sample(settings: Settings, extra: str) -> None:
    """Print what came."""
    click.echo(f"{settings.ingest_port} {settings.serving_port} {settings.data} {extra}")


def test_a_command_gets_its_settings_from_all_sources() -> None:
    result = CliRunner().invoke(
        sample, ["--ingest-port", "5", "--extra", "e"], env={"HEADRACE_SERVING_PORT": "6", "HEADRACE_DATA": "d"}
    )
    assert result.output == "5 6 d e\n"


def test_a_wrong_setting_is_wrong_usage() -> None:
    result = CliRunner().invoke(sample, ["--ingest-port", "x"])
    assert result.exit_code == 2
    assert "expected a port from 0 to 65535" in result.output


def test_help_shows_flag_variable_and_default() -> None:
    output = " ".join(CliRunner().invoke(sample, ["--help"]).output.split())
    assert "--ingest-port" in output
    assert "[HEADRACE_INGEST_PORT; default: 8181]" in output
    assert "--serving-port" not in output


LOOK = ["data", "host", "bootstrap", "workspace", "installation", "ingest_port", "serving_port"]
TAKEN = {
    "apply": [
        "bootstrap",
        "workspace",
        "partitions",
        "source_partitions",
        "replication",
        "retired_grace_days",
        "log_level",
        "log_format",
    ],
    "broker": ["data", "kafka_port", "log_level", "log_format"],
    "doctor": LOOK,
    "get": ["data", "host", "workspace", "serving_port"],
    "ingest": ["data", "host", "ingest_port"],
    "ingest-api": [
        "data",
        "host",
        "bootstrap",
        "workspace",
        "installation",
        "ingest_port",
        "partitions",
        "replication",
        "ack_deadline_seconds",
        "log_level",
        "log_format",
    ],
    "processor": [
        "data",
        "host",
        "bootstrap",
        "workspace",
        "workspaces",
        "installation",
        "processor_port",
        "partitions",
        "replication",
        "watchdog_seconds",
        "code_retry_seconds",
        "clock_hold_hours",
        "log_level",
        "log_format",
    ],
    "serving": ["data", "host", "bootstrap", "workspace", "serving_port", "log_level", "log_format"],
    "status": LOOK,
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_command_takes_the_settings_that_concern_it(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    taken = [each for each in command.params if each.name in TABLE]
    assert [each.name for each in taken] == TAKEN[name]
    assert [each.opts for each in taken] == [[flag_name(setting)] for setting in TAKEN[name]]
