"""The commands of `headrace`, those below others too."""

from collections.abc import Iterator

import click

from headrace.cli import main


def commands(group: click.Group = main, above: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yields each command with its path, such as ``key create``, sorted; a group comes before what is in it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None:
            yield above + name, command
            if isinstance(command, click.Group):
                yield from commands(command, f"{above}{name} ")
