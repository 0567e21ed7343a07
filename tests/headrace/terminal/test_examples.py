import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from headrace.cli import main
from headrace.terminal.examples import HEADING
from infra.settings import TABLE, load_settings

Named = tuple[str, ...]


def walk(command: click.Command, name: Named = ()) -> Iterator[tuple[Named, click.Command]]:
    """Yields every command, groups included, with the words that call it."""
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for word in command.list_commands(context):
            inner = command.get_command(context, word)
            assert inner is not None
            yield from walk(inner, (*name, word))


COMMANDS = dict(walk(main))


def shown(name: Named) -> list[str]:
    """Returns the examples in the help of a command, as a person reads them."""
    lines = CliRunner().invoke(main, [*name, "--help"]).output.splitlines()
    begin = next((number for number, line in enumerate(lines, 1) if line.strip() == HEADING), len(lines))
    end = next((number for number, line in enumerate(lines) if number > begin and not line.strip()), len(lines))
    return [line.strip() for line in lines[begin:end]]


def called(words: list[str]) -> tuple[Named, list[str]]:
    """Returns which command some words call, and with what."""
    depth = 0
    while isinstance(COMMANDS.get(tuple(words[:depth])), click.Group):
        depth += 1
    return tuple(words[:depth]), words[depth:]


@pytest.fixture(autouse=True)
def _files_of_the_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "features").mkdir()
    (tmp_path / "features/transactions.jsonl").touch()
    monkeypatch.chdir(tmp_path)


def test_all_commands_are_walked() -> None:
    assert {(), ("up",), ("ingest-api",), ("key",), ("key", "create")} <= COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS, ids=lambda name: " ".join(name) or "headrace")
def test_the_help_of_each_command_has_examples_that_it_accepts(name: Named) -> None:
    examples = shown(name)
    assert examples
    for line in examples:
        program, *words = shlex.split(line)
        target, arguments = called(words)
        assert program == "headrace"
        assert target[: len(name)] == name, f"{line} calls another command"
        assert target in COMMANDS, line
        context = COMMANDS[target].make_context(" ".join(target), arguments)
        load_settings({setting: value for setting, value in context.params.items() if setting in TABLE}, {}, None)
        context.close()
