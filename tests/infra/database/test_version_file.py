import mmap
import os
from pathlib import Path

import pytest

from infra.database.version_file import VersionFileReader, VersionFileWriter
from schemas.errors import StorageError
from tests.infra.test_mapped_file import full_disk


def test_reader_follows_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "version"
    writer = VersionFileWriter(path)
    reader = VersionFileReader(path)
    assert reader.read() == (0, 0)
    writer.publish(1, 7)
    assert reader.read() == writer.read() == (1, 7)
    writer.publish(2**63, 2**64 - 1)
    assert reader.read() == (2**63, 2**64 - 1)
    writer.close()
    reader.close()


def test_bytes_are_two_little_endian_counters(tmp_path: Path) -> None:
    writer = VersionFileWriter(tmp_path / "version")
    writer.publish(1, 258)
    writer.close()
    assert (tmp_path / "version").read_bytes() == bytes([1, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0])


def test_next_writer_goes_on_and_readers_keep_their_view(tmp_path: Path) -> None:
    path = tmp_path / "version"
    first = VersionFileWriter(path)
    reader = VersionFileReader(path)
    first.publish(1, 7)
    first.close()
    second = VersionFileWriter(path)
    assert second.read() == (1, 7)
    second.publish(2, 8)
    assert reader.read() == (2, 8)
    assert second.in_place()
    assert reader.in_place()
    second.close()
    reader.close()


@pytest.mark.parametrize(("epoch", "version"), [(2, 6), (1, 7), (0, 0)])
def test_nothing_goes_back(tmp_path: Path, epoch: int, version: int) -> None:
    writer = VersionFileWriter(tmp_path / "version")
    writer.publish(2, 7)
    with pytest.raises(StorageError, match="run one processor per partition"):
        writer.publish(epoch, version)
    assert writer.read() == (2, 7)
    writer.close()


def test_reader_of_a_file_that_is_not_there_or_not_whole(tmp_path: Path) -> None:
    path = tmp_path / "version"
    with pytest.raises(FileNotFoundError):
        VersionFileReader(path)
    path.touch()
    with pytest.raises(FileNotFoundError):
        VersionFileReader(path)
    path.write_bytes(bytes(8))
    with pytest.raises(FileNotFoundError):
        VersionFileReader(path)


@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.parametrize("moved", [False, True])
def test_both_sides_know_that_the_file_is_not_at_its_path(tmp_path: Path, *, moved: bool, replaced: bool) -> None:
    path = tmp_path / "version"
    writer, reader = VersionFileWriter(path), VersionFileReader(path)
    assert writer.in_place()
    assert reader.in_place()
    path.rename(tmp_path / "moved") if moved else path.unlink()
    if replaced:
        path.write_bytes(bytes(16))
    assert not writer.in_place()
    assert not reader.in_place()
    writer.publish(1, 7)
    assert reader.read() == (1, 7), "they go on together until both have turned to another file"
    writer.close()
    reader.close()


def test_reader_of_an_abandoned_file_waits_for_a_version_that_never_comes(tmp_path: Path) -> None:
    path = tmp_path / "version"
    writer = VersionFileWriter(path)
    writer.publish(3, 7)
    reader = VersionFileReader(path)
    writer.abandon()
    assert reader.read() == (3, 2**64 - 1)
    again = VersionFileWriter(path)
    assert again.read() == (3, 0)
    again.publish(4, 8)
    assert reader.read() == (4, 8)
    again.close()
    reader.close()


def test_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file/version"):
        VersionFileWriter(tmp_path / "file" / "version")


def test_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pwrite", full_disk)
    with pytest.raises(StorageError, match="version: No space left on device; check free space"):
        VersionFileWriter(tmp_path / "version")


def test_file_is_mapped_whole(tmp_path: Path) -> None:
    VersionFileWriter(tmp_path / "version").close()
    assert (tmp_path / "version").stat().st_size == 16 <= mmap.PAGESIZE
