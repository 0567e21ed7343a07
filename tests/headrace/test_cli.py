import os
import subprocess
import sys

import click
from click.testing import CliRunner

from headrace.cli import main
from infra.process.exit_codes import ExitCode


def test_the_commands_of_operators_and_roles_are_there() -> None:
    names = main.list_commands(click.Context(main))
    assert {"up", "ingest-api", "processor", "serving", "key", "doctor"} <= set(names)


def test_each_command_explains_itself() -> None:
    for name in main.list_commands(click.Context(main)):
        result = CliRunner().invoke(main, [name, "--help"])
        assert (result.exit_code, name in result.output) == (0, True), result.output


def test_an_unknown_command_is_wrong_usage() -> None:
    result = CliRunner().invoke(main, ["upp"])
    assert result.exit_code == ExitCode.USAGE
    assert "upp" in result.stderr


def test_it_runs_as_a_module() -> None:
    answer = subprocess.run([sys.executable, "-m", "headrace", "up", "--help"], capture_output=True, check=True)
    assert b"--bootstrap" in answer.stdout


def test_what_the_encoding_of_the_output_does_not_have_is_escaped() -> None:
    code = "from headrace.cli import main; main(['init', 'repo', '--help'], standalone_mode=False); print('größer')"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}
    )
    assert answer.stdout.splitlines()[-1] == b"gr\\xf6\\xdfer"


def test_help_lists_each_exit_code() -> None:
    output = CliRunner().invoke(main, ["--help"]).output
    for code in ExitCode:
        assert f"  {code:d}  {code.meaning}\n" in output


def test_the_version_is_told() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert (result.exit_code, "version" in result.output) == (0, True)


def test_a_join_key_given_twice_is_wrong_usage() -> None:
    result = CliRunner().invoke(main, ["get", "service", "user=a", "user=b"])
    assert (result.exit_code, "'user' is given twice" in result.output) == (2, True)
