"""Examples in the help of a command.

Invariant: each line is a whole command line that `headrace` accepts, without anything that only a shell understands.
"""

from typing import Final

HEADING: Final = "Examples:"


def examples(*lines: str) -> str:
    """Returns the epilog of a command that shows how it is called."""
    # \b: click keeps the lines of this paragraph as they are.
    return "\n".join(["\b", HEADING, *(f"  {line}" for line in lines)])
