"""What `make` installs is what is locked, whichever pip the machine's Python came with."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.markers import default_environment
from packaging.utils import canonicalize_name

from tests.test_locks import PACKAGES, ROOT, pins

OLDEST_PIP: Final = {11: "22.3", 12: "23.2.1", 13: "24.2", 14: "25.2"}
"""What the first release of each Python 3 came with."""

PYTHON: Final = """\
#!/bin/sh
# A Python whose environments come with another pip.
"{python}" "$@" || exit
if [ "$1 $2" = "-m venv" ]; then
    "$4/bin/python" -m pip install --quiet --disable-pip-version-check {pip}
fi
"""
BROUGHT_BY_PYTHON: Final = {"pip", "setuptools"}

DEMO_MB: Final = 400
"""Without byte code: 321 on Linux x86-64. Feast's environment takes 590."""


def made_from(folder: Path) -> Path:
    """What an environment is made from, in a folder of its own."""
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "README.md", *(lock.name for lock in ROOT.glob("requirements*.lock"))):
        shutil.copy(ROOT / name, folder)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def installed_in(folder: Path) -> dict[str, Any]:
    command = [str(folder / ".venv/bin/python"), "-m", "pip", "--disable-pip-version-check", "list", "--format", "json"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    versions = {canonicalize_name(each["name"]): each["version"] for each in found}
    assert "headrace" in versions
    return {name: version for name, version in versions.items() if name not in {"headrace", *BROUGHT_BY_PYTHON}}


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "pip", [f"pip=={OLDEST_PIP[sys.version_info.minor]}", "--upgrade pip"], ids=["oldest", "newest"]
)
def test_make_installs_what_is_locked_and_nothing_else(pip: str, tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text(PYTHON.format(python=sys.executable, pip=pip))
    python.chmod(0o755)
    folder = made_from(tmp_path / "headrace")
    make = shutil.which("make")
    assert make is not None
    environ = os.environ | {"PIP_NO_COMPILE": "1"}
    for target, lock in (("venv-demo", "requirements-demo.lock"), ("venv", "requirements.lock")):
        done = subprocess.run(
            [make, target, f"PYTHON={python}"], cwd=folder, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        locked = pins(lock, {**default_environment()})
        assert installed_in(folder) == {name: locked[name] for name in locked if name not in BROUGHT_BY_PYTHON}
        if target == "venv-demo":
            assert megabytes(folder / ".venv") < DEMO_MB
    assert subprocess.run([folder / ".venv/bin/headrace", "--version"], check=False).returncode == 0


def megabytes(folder: Path) -> float:
    files = (Path(where, name) for where, _folders, names in os.walk(folder) for name in names)
    return sum(file.lstat().st_size for file in files) / 1_000_000
