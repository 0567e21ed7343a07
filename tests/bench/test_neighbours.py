import subprocess
import sys

from bench.neighbours import Neighbours


def test_the_work_of_own_processes_is_not_that_of_neighbours() -> None:
    neighbours = Neighbours()
    subprocess.run([sys.executable, "-c", "sum(range(10_000_000))"], check=True)
    assert "processors busy" in neighbours.sentence()
    assert neighbours.cpus() >= 0.0
