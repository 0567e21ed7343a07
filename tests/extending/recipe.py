"""Recipes: what a next thing of its kind takes, as a change of the repository that applies and works.

A recipe is a patch in ``recipes/``, and a section of ``docs/extending.md`` that says what its files are. To change one,
``python -m tests.extending edit NAME FOLDER`` makes a copy of the repository with the recipe in it;
``python -m tests.extending save NAME FOLDER`` writes what differs there as the recipe.

Invariant: a recipe is tried in a copy of the files that the repository tracks, or is about to; nothing else is touched.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
RECIPES: Final = Path(__file__).parent / "recipes"
PAGE: Final = ROOT / "docs/extending.md"

_TRIED: Final = re.compile(r"^\+\+\+ b/(.+?)\t?$", re.MULTILINE)
_ROW: Final = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)

GIT: Final = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "recipe",
    "GIT_AUTHOR_EMAIL": "recipe@localhost",
    "GIT_COMMITTER_NAME": "recipe",
    "GIT_COMMITTER_EMAIL": "recipe@localhost",
}


def patch_of(name: str) -> Path:
    """Returns where a recipe stands."""
    return RECIPES / f"{name}.patch"


def names() -> list[str]:
    """Returns the names of all recipes."""
    return sorted(path.stem for path in RECIPES.glob("*.patch"))


def files_of(name: str) -> list[str]:
    """Returns the files that a recipe makes or changes, by path from the root of the repository."""
    return sorted(_TRIED.findall(patch_of(name).read_text("utf-8")))


def files_told(name: str) -> list[str]:
    """Returns the files that the page names for a recipe: the first column of the table in its section."""
    sections = re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    [section] = [each for each in sections if f"`{name}.patch`" in each]
    return sorted(_ROW.findall(section))


def copy_to(folder: Path) -> None:
    """Makes a repository with a copy of this one's files, as they are now, as its only commit."""
    listed = _run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], ROOT).split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():  # one that was removed and not committed yet is listed all the same
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for command in (["init", "-q"], ["add", "--all"], ["commit", "-q", "-m", "before"]):
        _run(["git", *command], folder)


def apply(name: str, folder: Path) -> None:
    """Changes a copy as a recipe says.

    Raises:
        subprocess.CalledProcessError: it does not apply to what the repository is now.
    """
    _run(["git", "apply", "--3way", "--whitespace=error", str(patch_of(name))], folder)


def refused(name: str) -> str:
    """Returns why a recipe does not apply to the repository as it is, or nothing if it does; changes nothing."""
    return _tried(["git", "apply", "--check", str(patch_of(name))], ROOT).stderr


def apply_in_part(name: str, folder: Path) -> list[str]:
    """Changes a copy by what of a recipe applies where one line around it is as it was.

    Returns:
        The files, in the copy, that hold what does not apply.
    """
    _tried(["git", "apply", "--reject", "-C1", str(patch_of(name))], folder)
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.rej"))


def save(name: str, folder: Path) -> None:
    """Writes what differs in a copy as a recipe."""
    _run(["git", "add", "--all"], folder)
    patch_of(name).write_text(_run(["git", "diff", "--cached", "HEAD"], folder), "utf-8")


def in_copy(folder: Path, program: str, *arguments: str) -> str:
    """Runs a program of this environment in a copy, whose packages it finds before this repository's.

    Returns:
        All that it printed; empty if it succeeded.
    """
    ran = subprocess.run(
        [Path(sys.executable).with_name(program), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return ran.stdout or f"exit code {ran.returncode}" if ran.returncode else ""


def _run(command: list[str], folder: Path) -> str:
    done = _tried(command, folder)
    done.check_returncode()
    return done.stdout


def _tried(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env={**os.environ, **GIT}, text=True, check=False, capture_output=True)
