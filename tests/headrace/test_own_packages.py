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


@pytest.mark.parametrize("name", ["schemas", "serving"])
@pytest.mark.parametrize("command", ["doctor", "up"])
def test_a_package_that_shadows_ours_is_named_before_anything_fails(name: str, command: str, tmp_path: Path) -> None:
    stranger = tmp_path / name
    stranger.mkdir()
    (stranger / "__init__.py").touch()
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (tmp_path, HOME)))}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "headrace", command], capture_output=True, text=True, check=False, env=environ
    )
    assert done.returncode == 1
    assert f"found first on Python's path: {name} ({stranger.resolve()}); rename it" in done.stderr


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
