import mmap
from pathlib import Path

import pytest

from infra.version_file import VersionFileReader, VersionFileWriter
from schemas.errors import StorageError


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
    assert not reader.deleted()
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


def test_reader_knows_that_the_file_was_deleted(tmp_path: Path) -> None:
    path = tmp_path / "version"
    VersionFileWriter(path).close()
    reader = VersionFileReader(path)
    path.unlink()
    assert reader.deleted()
    reader.close()


def test_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file/version"):
        VersionFileWriter(tmp_path / "file" / "version")


def test_file_is_mapped_whole(tmp_path: Path) -> None:
    VersionFileWriter(tmp_path / "version").close()
    assert (tmp_path / "version").stat().st_size == 16 <= mmap.PAGESIZE
