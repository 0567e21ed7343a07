"""Replays seeds: ``python -m tests.simulation SEED [COUNT]``."""

import sys

from tests.simulation.run import run

first = int(sys.argv[1])
for seed in range(first, first + int(sys.argv[2]) if len(sys.argv) > 2 else first + 1):
    run(seed)
    print(f"seed {seed}: ok")  # noqa: T201 - it is a command
