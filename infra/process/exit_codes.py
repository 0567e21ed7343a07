"""The exit codes of the command line and of every role, in one place.

Invariant: a code says whether trying again can help, and who must act, without reading the log.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final, Self

from schemas.errors import HeadraceError, NotInstalledError, SettingsError, StorageError, UnavailableError


class ExitCode(IntEnum):
    """An exit status, with what it means as the command line says it."""

    meaning: str

    def __new__(cls, number: int, meaning: str) -> Self:
        """Makes a code that counts as its number."""
        code = int.__new__(cls, number)
        code._value_ = number
        code.meaning = meaning
        return code

    OK = 0, "done, or stopped because it was asked to"
    FAILURE = 1, "refused or failed; the message says why"
    USAGE = 2, "wrong flags, arguments or settings, or a command whose packages are not installed"
    CHILD_CANNOT_START = 3, "a process that `headrace up` starts kept dying, or did not become ready in time"
    ALREADY_RUNNING = 4, "another `headrace up` uses the data folder"
    APPLY_FAILED = 5, "`headrace up --repo` could not apply the feature repository"
    STORAGE = 6, "a disk or database cannot be used; an operator must act"
    UNAVAILABLE = 7, "something needed is away; trying again later helps"
    STUCK = 8, "a partition stood still while records waited; starting over may help"


BY_ERROR: Final[Mapping[type[HeadraceError], ExitCode]] = {
    SettingsError: ExitCode.USAGE,
    NotInstalledError: ExitCode.USAGE,
    StorageError: ExitCode.STORAGE,
    UnavailableError: ExitCode.UNAVAILABLE,
}


def exit_code_of(error: HeadraceError) -> ExitCode:
    """Returns the exit code of a process that ends with an error."""
    return next((code for kind, code in BY_ERROR.items() if isinstance(error, kind)), ExitCode.FAILURE)
