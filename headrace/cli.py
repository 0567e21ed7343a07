"""The command line: ``headrace COMMAND``.

Each module of `headrace.commands` is one command, named as the module (``ingest_api`` is ``ingest-api``), and holds it
as ``command``. Only the module of the command that runs is imported, so that a role does not pay for the others.

Invariant: an error that Headrace raises on purpose ends as one line on stderr and the exit code of its kind
(`infra.process.exit_codes`), never as a traceback.
"""

import importlib
import io
import pkgutil
import sys
from typing import Any, Final

import click

from headrace import commands
from headrace.terminal.examples import examples
from infra.process.exit_codes import ExitCode, exit_code_of
from schemas.errors import HeadraceError


class Commands(click.Group):
    """The commands, found by their modules."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        del ctx
        return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(commands.__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None if there is none of that name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{commands.__name__}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; turn our errors into a message and an exit code."""
        try:
            return super().invoke(ctx)
        except HeadraceError as error:
            failure = click.ClickException(error.message)
            failure.exit_code = exit_code_of(error)
            raise failure from error


EXAMPLES: Final = (
    "headrace up",
    "headrace init features",
    "headrace apply features",
    "headrace ingest transactions features/transactions.jsonl",
    "headrace get fraud_detection user_id=u1",
)


def _exit_codes() -> str:
    # \b: click keeps the lines of this paragraph as they are.
    return "\n".join(["\b", "Exit codes:", *(f"  {code:d}  {code.meaning}" for code in ExitCode)])


@click.command(cls=Commands, epilog=f"{examples(*EXAMPLES)}\n\n{_exit_codes()}")
@click.version_option(package_name="headrace")
def main() -> None:
    """Headrace, a self-hosted streaming feature platform on Kafka."""
    # What the terminal's encoding does not have is shown as an escape: names and values come from records.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
