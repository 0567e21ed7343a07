"""The flag ``--allow-removals`` of the commands that apply a repository.

It takes its value behind ``=`` only: in ``--allow-removals DIR`` the folder is the command's.
"""

from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

import click

FLAG: Final = "--allow-removals"

P = ParamSpec("P")
R = TypeVar("R")


class RemovalsCommand(click.Command):
    """A command with the flag, which may be given without a value."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the arguments; the bare flag is ``--allow-removals=grace``."""
        return super().parse_args(ctx, [f"{FLAG}=grace" if argument == FLAG else argument for argument in args])


def removals_option(command: Callable[P, R]) -> Callable[P, R]:
    """Adds the flag to a command of the class above; its parameter is ``removals``."""
    decorate = click.option(
        FLAG,
        "removals",
        type=click.Choice(["grace", "now"]),
        metavar="[=grace|=now]",
        help="Allow the repository to remove what it leaves out. A removed view is served no longer but still computed "
        "for a grace (alone or =grace), so that the same definition comes back without a gap; =now ends it, and what "
        "was removed before, at once.",
    )
    return decorate(command)
