"""The page of commands, made of the command line itself."""

import inspect
from collections.abc import Iterator

import click

from headrace.cli import main
from headrace.terminal.examples import HEADING
from infra.process.exit_codes import ExitCode
from infra.settings import TABLE
from tests.docs.reference.command_tree import commands
from tests.docs.reference.markdown import code, page, table


def commands_page() -> str:
    """Returns the page."""
    return page("Commands", "headrace/cli.py", _lines())


def _lines() -> Iterator[str]:
    yield "`headrace COMMAND --help` says the same. Flags of [settings](settings.md) are explained there."
    for path, command in commands():
        yield from ["", f"## `headrace {path}`" if " " not in path else f"### `headrace {path}`", ""]
        yield from _described(path, command)
    yield from ["", "## Exit codes", ""]
    yield from table(["code", "meaning"], [[f"{code:d}", code.meaning] for code in ExitCode])


def _described(path: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=f"headrace {path}", parent=None)
    yield from ["```text", " ".join([context.command_path, *command.collect_usage_pieces(context)]), "```", ""]
    yield from inspect.cleandoc(command.help or "").replace("\b\n", "").splitlines()
    options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    if own := [each for each in options if each.name not in TABLE]:
        yield ""
        yield from table(["option", "what it does"], [[code(_spelled(each)), _explained(each)] for each in own])
    if settings := [each.name for each in options if each.name in TABLE]:
        yield ""
        yield from ["Settings: " + ", ".join(f"[{code(name)}](settings.md#{name})" for name in settings) + "."]
    if examples := _examples(command):
        yield from ["", "```text", *examples, "```"]


def _spelled(option: click.Option) -> str:
    names = "/".join([*option.opts, *option.secondary_opts])
    if option.is_flag:
        return names
    metavar = option.make_metavar(click.Context(main)).strip("[]")
    return f"{names} {metavar}"


def _explained(option: click.Option) -> str:
    required = ["[required]"] if option.required else []
    return " ".join([*(option.help or "").split(), *required])


def _examples(command: click.Command) -> list[str]:
    lines = (command.epilog or "").splitlines()
    begin = lines.index(HEADING) + 1 if HEADING in lines else len(lines)
    return [line.strip() for line in lines[begin:] if line.strip()]
