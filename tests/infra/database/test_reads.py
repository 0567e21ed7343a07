from collections.abc import Iterator
from pathlib import Path

import pytest
from rocksdict import Rdict

from infra.database.layout import DatabaseResources, database_options
from infra.database.reads import SCAN_CHUNK, DatabaseReads, Failures, KeysBefore

KEYS = [b"k%06d" % index for index in range(3 * SCAN_CHUNK)]


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rdict]:
    path = tmp_path_factory.mktemp("reads") / "db"
    with Rdict(str(path), database_options(DatabaseResources.of_sizes())) as opened:
        for key in KEYS:
            opened[key] = key.upper()
        yield opened


def fresh(key: bytes) -> bytes:
    """Returns a copy of ``key`` that nobody else holds."""
    return bytes(bytearray(key))


def reuse_memory(size: int) -> list[bytes]:
    """Fills what was freed last with keys below all of a test's."""
    return [bytes(bytearray(b"a" * size)) for _ in range(1_000)]


@pytest.mark.parametrize("index", [0, 1, 999, len(KEYS) - 1])
def test_end_of_a_range_lives_as_long_as_the_range(db: Rdict, index: int) -> None:
    before = KeysBefore(db, fresh(KEYS[index]))
    held = reuse_memory(len(KEYS[0]))
    assert before.keys(b"k", len(KEYS)) == KEYS[:index]
    held += reuse_memory(len(KEYS[0]))
    assert [key for key, _ in before.items(b"k", len(KEYS))] == KEYS[:index]
    assert before.last() == (None if index == 0 else (KEYS[index - 1], KEYS[index - 1].upper()))


def test_scan_goes_on_to_an_end_that_only_it_holds(db: Rdict) -> None:
    scan = DatabaseReads(db, Failures(Path("db"))).scan(b"k", fresh(KEYS[-1]))
    found, held = [], []
    for index, (key, _) in enumerate(scan):
        found.append(key)
        if index % SCAN_CHUNK == 0:
            held += reuse_memory(len(KEYS[0]))
    assert found == KEYS[:-1]


@pytest.mark.parametrize(("start", "end", "limit"), [(0, 5, 10), (3, 2_000, 1_500), (7, 7, 10), (9, 3, 10), (0, 5, 0)])
def test_keys_are_the_first_of_a_range(db: Rdict, start: int, end: int, limit: int) -> None:
    reads = DatabaseReads(db, Failures(Path("db")))
    assert reads.keys(KEYS[start], KEYS[end], limit) == KEYS[start:end][:limit]
