"""Where ``headrace up`` shows how its parts are: see ``headrace.terminal.screen`` for terminals.

Invariant: on anything but a terminal, stdout has notes, the addresses and ``ready``, each once, and stderr has logs
alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

import click

from infra.process.supervisor import Stage

NAME_WIDTH: Final = 10


@dataclass(frozen=True, slots=True)
class Part:
    """What a person knows a child by.

    Attributes:
        name: shown; every part has its own.
        address: shown; where it listens.
        ready_url: as the supervisor asks it.
    """

    name: str
    address: str
    ready_url: str


@dataclass(frozen=True, slots=True)
class Outlook:
    """What to tell once all is ready: lines of a name and a text.

    Attributes:
        addresses: what listens where.
        next_steps: what to do now, and with which key.
    """

    addresses: Sequence[tuple[str, str]]
    next_steps: Sequence[tuple[str, str]]


class Display(Protocol):
    """Shows how the parts are; entered in a running event loop, before the first part starts."""

    environ: Mapping[str, str]
    """What children are told, so that what they write can be shown."""

    async def __aenter__(self) -> Self:
        """Begins to show."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Shows what is left to show, and gives the terminal back."""

    def output(self, name: str) -> int | None:
        """Returns the file descriptor that a part is to write to; None if nothing of it is shown."""

    def tell(self, name: str, stage: Stage, why: str) -> None:
        """Shows what has become of a part."""

    def note(self, text: str) -> None:
        """Shows, at once, what the operator is to know though nothing has failed."""

    def ready(self, outlook: Outlook) -> None:
        """Shows that all is ready."""


class Plain:
    """For pipes and files: tells the addresses when all is ready, and before only what there is to note."""

    environ: Mapping[str, str] = {}

    async def __aenter__(self) -> Self:
        """Does nothing."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Does nothing."""

    def output(self, name: str) -> int | None:
        """Returns None: parts write where this process does."""
        del name
        return None

    def tell(self, name: str, stage: Stage, why: str) -> None:
        """Does nothing: the supervisor logs it."""

    def note(self, text: str) -> None:
        """Prints a line that begins with ``note``."""
        click.echo(_line("note", text))

    def ready(self, outlook: Outlook) -> None:
        """Prints all lines; the last one begins with ``ready``."""
        for name, text in [*outlook.addresses, *outlook.next_steps]:
            click.echo(_line(name, text))
        click.echo("ready: Ctrl-C stops all")


def _line(name: str, text: str) -> str:
    return f"{name:<{NAME_WIDTH}} {text}"
