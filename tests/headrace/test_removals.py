import click
import pytest
from click.testing import CliRunner, Result

from headrace.removals import RemovalsCommand, removals_option


@click.command("apply", cls=RemovalsCommand)
@click.argument("folder")
@removals_option
def apply(folder: str, removals: str | None) -> None:
    click.echo(f"{folder} {removals}")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(apply, arguments)


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["repo"], "repo None\n"),
        (["--allow-removals", "repo"], "repo grace\n"),
        (["repo", "--allow-removals"], "repo grace\n"),
        (["--allow-removals", "now"], "now grace\n"),  # a folder of that name
        (["--allow-removals=grace", "repo"], "repo grace\n"),
        (["--allow-removals=now", "repo"], "repo now\n"),
        (["--allow-removals", "--allow-removals=now", "repo"], "repo now\n"),
    ],
)
def test_the_flag_takes_its_value_behind_the_sign_alone(arguments: list[str], printed: str) -> None:
    assert run(*arguments).output == printed


def test_another_value_is_wrong_usage_and_names_those_there_are() -> None:
    result = run("--allow-removals=later", "repo")
    assert result.exit_code == 2
    assert "'grace', 'now'" in result.output


def test_help_says_what_is_kept_and_for_how_long() -> None:
    words = " ".join(run("--help").output.split())
    assert "--allow-removals [=grace|=now]" in words
    assert "still computed for a grace" in words
