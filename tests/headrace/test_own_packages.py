import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.checks import Outcome, check_packages, claims
from headrace.own_packages import HOME, OWN, shadows

PACKAGES = {path.parent.name for path in HOME.glob("*/py.typed")}


def test_each_package_of_ours_is_looked_at_and_found() -> None:
    assert {*OWN, "headrace"} == PACKAGES
    assert shadows() == {}


COMMAND_LINES = [["-m", "headrace"], [str(Path(sys.executable).parent / "headrace")]]


def run_beside_a_stranger(name: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python where a package of our name is found before ours."""
    (folder / name).mkdir()
    (folder / name / "__init__.py").touch()
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (folder, HOME)))}
    command = [sys.executable, "-P", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environ)


@pytest.mark.parametrize("name", ["schemas", "serving"])
@pytest.mark.parametrize("program", COMMAND_LINES, ids=["module", "script"])
@pytest.mark.parametrize("command", ["doctor", "up"])
def test_a_package_that_shadows_ours_is_named_before_anything_fails(
    name: str, program: list[str], command: str, tmp_path: Path
) -> None:
    done = run_beside_a_stranger(name, tmp_path, *program, command)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert line.startswith("Error: ")
    assert f"found first on Python's path: {name} ({(tmp_path / name).resolve()}); rename it" in line


def test_who_imports_headrace_gets_an_import_error(tmp_path: Path) -> None:
    done = run_beside_a_stranger("schemas", tmp_path, "-c", "import headrace")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ImportError: not Headrace's own")


def test_a_distribution_with_files_in_our_packages_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert claims() == {}
    metadata = tmp_path / "stranger-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (metadata / "RECORD").write_text("infra/stranger.py,,\nstranger.py,,\n")
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra/stranger.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert claims() == {"infra": "stranger"}


def test_doctor_tells_whose_a_package_is() -> None:
    assert check_packages({}).outcome is Outcome.OK
    finding = check_packages({"infra": "stranger"})
    assert (finding.outcome, finding.found) == (Outcome.FAIL, "not Headrace's own: infra (stranger)")
    assert finding.remedy
