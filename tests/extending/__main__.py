"""Makes a copy of the repository with a recipe in it, or a recipe of what differs in such a copy (`recipe.py`)."""

import argparse
import subprocess
import sys
from pathlib import Path

from tests.extending.recipe import apply, apply_in_part, copy_to, patch_of, save


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.extending", description=__doc__)
    parser.add_argument("action", choices=["edit", "save"])
    parser.add_argument("name")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    if arguments.action == "save":
        save(arguments.name, arguments.folder)
        return
    arguments.folder.mkdir(parents=True)
    copy_to(arguments.folder)
    if not patch_of(arguments.name).exists():
        return
    try:
        apply(arguments.name, arguments.folder)
    except subprocess.CalledProcessError:
        left = apply_in_part(arguments.name, arguments.folder)
        todo = f"; put in by hand what these hold, and remove them: {', '.join(left)}" if left else ""
        sys.exit(f"{arguments.name} applies only in part: look through {arguments.folder}{todo}; then save it")


if __name__ == "__main__":
    main()
