"""Makes a copy of the repository with a recipe in it, or a recipe of what differs in such a copy (`recipe.py`)."""

import argparse
from pathlib import Path

from tests.extending.recipe import apply, copy_to, patch_of, save


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
    if patch_of(arguments.name).exists():
        apply(arguments.name, arguments.folder)


if __name__ == "__main__":
    main()
