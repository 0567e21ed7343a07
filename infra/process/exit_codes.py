"""The exit codes of the command line and of every role, in one place.

Invariant: a code says whether trying again can help, and who must act, without reading the log.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from schemas.errors import HeadraceError, NotInstalledError, SettingsError, StorageError, UnavailableError


class ExitCode(IntEnum):
    """What an exit status means."""

    OK = 0
    """Done, or stopped because it was asked to."""
    FAILURE = 1
    """Refused or failed; the message says why."""
    USAGE = 2
    """Wrong flags, arguments or settings, or a command whose packages are not installed."""
    CHILD_CANNOT_START = 3
    """A process that `headrace up` starts kept dying, or did not become ready in time."""
    ALREADY_RUNNING = 4
    """Another `headrace up` uses the data folder."""
    APPLY_FAILED = 5
    """`headrace up --repo` could not apply the feature repository."""
    STORAGE = 6
    """A disk or database cannot be used; an operator must act."""
    UNAVAILABLE = 7
    """Something needed is away; trying again later helps."""
    STUCK = 8
    """A partition stood still while records waited; starting over may help."""


BY_ERROR: Final[Mapping[type[HeadraceError], ExitCode]] = {
    SettingsError: ExitCode.USAGE,
    NotInstalledError: ExitCode.USAGE,
    StorageError: ExitCode.STORAGE,
    UnavailableError: ExitCode.UNAVAILABLE,
}


def exit_code_of(error: HeadraceError) -> ExitCode:
    """Return the exit code of a process that ends with an error."""
    return next((code for kind, code in BY_ERROR.items() if isinstance(error, kind)), ExitCode.FAILURE)
