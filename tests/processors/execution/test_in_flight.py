import os
from pathlib import Path

import pytest

from processors.execution.in_flight import InFlight
from schemas.errors import StorageError
from tests.infra.test_mapped_file import full_disk, has_a_block


def died_in(path: Path, first: int, end: int) -> InFlight:
    marker = InFlight(path)
    with marker.running(first, end):
        copy = path.read_bytes()
    marker.close()
    path.write_bytes(copy)
    return InFlight(path)


def test_nothing_is_suspect_after_a_clean_end(tmp_path: Path) -> None:
    marker = InFlight(tmp_path / "a" / "m")
    with marker.running(0, 5):
        pass
    marker.close()
    marker = InFlight(tmp_path / "a" / "m")
    assert not any(marker.is_suspect(offset) for offset in range(10))
    marker.close()


def test_what_ends_the_process_with_an_exception_is_suspect_too(tmp_path: Path) -> None:
    marker = InFlight(tmp_path / "m")
    with pytest.raises(MemoryError), marker.running(7, 9):
        raise MemoryError
    marker.close()
    marker = InFlight(tmp_path / "m")
    assert [offset for offset in range(20) if marker.is_suspect(offset)] == [7, 8]
    marker.close()


def test_a_batch_in_flight_at_a_death_is_suspect_record_by_record(tmp_path: Path) -> None:
    marker = died_in(tmp_path / "m", 7, 9)
    assert [offset for offset in range(20) if marker.is_suspect(offset)] == [7, 8]
    assert not marker.must_isolate(7)
    marker.close()


def test_a_record_alone_in_flight_at_a_death_must_be_isolated(tmp_path: Path) -> None:
    marker = died_in(tmp_path / "m", 8, 9)
    assert marker.must_isolate(8)
    assert not marker.must_isolate(7)
    marker.close()


def test_it_stays_so_over_further_deaths_of_others(tmp_path: Path) -> None:
    for offset in range(100, 200):
        died_in(tmp_path / "m", offset, offset + 1).close()
    marker = died_in(tmp_path / "m", 300, 310)
    assert [offset for offset in range(400) if marker.must_isolate(offset)] == list(range(139, 200))
    assert marker.is_suspect(199)
    marker.close()


def test_a_record_is_remembered_once(tmp_path: Path) -> None:
    for _ in range(100):
        died_in(tmp_path / "m", 8, 9).close()
    marker = died_in(tmp_path / "m", 9, 10)
    assert [offset for offset in range(20) if marker.must_isolate(offset)] == [8, 9]
    marker.close()


def test_a_marker_that_cannot_be_made_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file/m"):
        InFlight(tmp_path / "file" / "m")


def test_a_full_disk_is_said_when_the_marker_is_made_and_never_kills_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = InFlight(tmp_path / "m")
    assert has_a_block(tmp_path / "m")
    marker.close()
    monkeypatch.setattr(os, "pwrite", full_disk)
    with pytest.raises(StorageError, match="n: No space left on device; free space"):
        InFlight(tmp_path / "n")
