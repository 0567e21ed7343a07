from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from headrace.cli import main
from headrace.terminal.settings_options import settings_options
from infra.settings import (
    APPLY,
    BROKER,
    EXAMINE,
    INGEST_API,
    KAFKA_CLIENT,
    LOOK,
    PROCESSOR,
    SERVING,
    TABLE,
    UP,
    Group,
    Settings,
    flag_name,
    names_of,
)


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


TAKEN = {
    "apply": APPLY,
    "broker": BROKER,
    "describe": Group.DATA | KAFKA_CLIENT | Group.WORKSPACE,
    "doctor": EXAMINE,
    "get": Group.DATA | Group.HTTP | Group.WORKSPACE | Group.SERVING_PORT,
    "ingest": Group.DATA | Group.HTTP | Group.INGEST_PORT | Group.INGEST_CALLS,
    "ingest-api": INGEST_API,
    "list": KAFKA_CLIENT | Group.WORKSPACE,
    "processor": PROCESSOR,
    "serving": SERVING,
    "status": LOOK,
    "tail": Group.DATA | KAFKA_CLIENT | Group.WORKSPACE | Group.INSTALLATION,
    "up": UP,
}
"""By groups: which settings these are shows `docs/reference/settings.md`, which a test keeps current."""


@pytest.mark.parametrize("name", TAKEN)
def test_a_command_takes_the_settings_that_concern_it(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    taken = [each for each in command.params if each.name in TABLE]
    assert [each.name for each in taken] == names_of(TAKEN[name])
    assert [each.opts for each in taken] == [[flag_name(setting)] for setting in names_of(TAKEN[name])]
