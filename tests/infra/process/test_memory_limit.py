import resource
import subprocess
import sys
from pathlib import Path

import pytest

from infra.process import memory_limit
from infra.process.memory_limit import host_memory, limit_data, limit_growth

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits it")

MAPPED = """
import mmap
from infra.process.memory_limit import limit_data, limit_growth
mapped = mmap.mmap(-1, 4 << 30, prot=mmap.PROT_READ)  # as a library that reserves memory
"""


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", MAPPED + program], capture_output=True, text=True, check=False)
    return done.stderr.rstrip()


@LINUX
@pytest.mark.parametrize("limit", ["limit_data(1 << 30)", "limit_growth(1 << 30)"])
def test_beyond_the_limit_allocations_fail_and_what_was_mapped_before_does_not_count(limit: str) -> None:
    assert run(f"assert {limit}\nbytearray(1 << 28)") == ""
    assert run(f"assert {limit}\nbytearray(3 << 29)").endswith("MemoryError")


@LINUX
def test_the_second_limit_takes_the_place_of_the_first() -> None:
    assert run("assert limit_data(1 << 28) and limit_growth(1 << 30)\nbytearray(1 << 29)") == ""


@LINUX
def test_a_limit_that_was_there_stays() -> None:
    program = "import resource\nresource.setrlimit(resource.RLIMIT_DATA, (1 << 28, 1 << 28))\n"
    assert run(program + "assert limit_data(1 << 30)\nbytearray(1 << 29)").endswith("MemoryError")


def test_a_system_that_refuses_the_limit_runs_without_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_arguments: object) -> None:
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert not limit_data(1 << 40)
    assert not limit_growth(1 << 40)
    monkeypatch.setattr(memory_limit, "_STATM", tmp_path / "none")
    assert not limit_growth(1 << 40)


def test_the_memory_of_the_host_is_known() -> None:
    assert host_memory() > 1 << 28
