"""Whether the packages that Headrace imports are its own: their names (``schemas``, ``serving``) are common words.

A folder or another package of such a name that comes earlier on Python's path would be taken in its place, and fail far
from the cause.

Invariant: nothing of ours is imported here, so that this works where nothing else does; it takes 0.2 ms of each start.
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

HOME: Final = Path(__file__).resolve().parents[1]

OWN: Final = ("access", "infra", "ingest_api", "processors", "schemas", "serving")


COMMAND_LINE: Final = ("headrace", "-m")
"""What Python calls the program while it imports it: the script, or ``python -m headrace``."""


def shadows() -> dict[str, str]:
    """Returns, by name, where Python finds each of our packages that it does not find beside ``headrace``."""
    found = {name: _place(name) for name in OWN}
    return {name: str(place or "nowhere") for name, place in found.items() if place != HOME / name}


def refuse_shadows() -> None:
    """Returns if all packages are our own.

    Raises:
        ImportError: one is not; the message says where it comes from and what to do.
        SystemExit: the same, where Python imports this to run the command line: a person needs no traceback.
    """
    found = shadows()
    if found:
        named = ", ".join(f"{name} ({place})" for name, place in found.items())
        message = (
            f"not Headrace's own, but found first on Python's path: {named}; rename it, start Python elsewhere or with "
            f"-P, or install Headrace into an environment of its own. Headrace is in {HOME}"
        )
        if Path(sys.argv[0]).name in COMMAND_LINE:
            sys.exit(f"Error: {message}")
        raise ImportError(message)


def _place(name: str) -> Path | None:
    spec = find_spec(name)
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or ())
    place = Path(folders[0] if folders else spec.origin or name)
    return place.resolve()
