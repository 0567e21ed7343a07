"""A cluster in one process, thousands of times: crashes, torn files and lost folders, with a seed for each history."""

import pytest

from tests.simulation.run import run

QUICK = 100
SEEDS = 1_000
LONG_SEEDS = 4_000
CHUNK = 100


def check(seeds: range) -> None:
    for seed in seeds:
        try:
            run(seed)
        except Exception as error:  # noqa: BLE001 - whatever it is, the seed must be named
            pytest.fail(f"{error}\nreplay with: .venv/bin/python -m tests.simulation {seed}")


def test_quick_histories_keep_the_invariants() -> None:
    check(range(QUICK))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(QUICK, QUICK + SEEDS, CHUNK))
def test_histories_keep_the_invariants(first: int) -> None:
    check(range(first, first + CHUNK))


@pytest.mark.long
@pytest.mark.parametrize("first", range(QUICK + SEEDS, QUICK + SEEDS + LONG_SEEDS, CHUNK))
def test_many_more_histories_keep_the_invariants(first: int) -> None:
    check(range(first, first + CHUNK))
