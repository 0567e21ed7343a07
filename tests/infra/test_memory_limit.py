import resource
import subprocess
import sys

import pytest

from infra.memory_limit import limit_memory

GREEDY = """
from infra.memory_limit import limit_memory
assert limit_memory(1 << 30)
bytearray(1 << 31)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits it")
def test_beyond_the_limit_allocations_fail() -> None:
    done = subprocess.run([sys.executable, "-c", GREEDY], capture_output=True, text=True, check=False)
    assert done.stderr.rstrip().endswith("MemoryError")


def test_a_system_that_refuses_the_limit_runs_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert not limit_memory(1 << 40)
