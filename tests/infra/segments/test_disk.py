import errno
import os
from pathlib import Path

import pytest

from infra.segments import disk as disk_module
from infra.segments.disk import LocalDisk
from schemas.errors import StorageError

OPEN_FILES = Path("/proc/self/fd")


def test_appends_make_files_and_folders_and_are_read_back(tmp_path: Path) -> None:
    disk = LocalDisk(tmp_path / "root")
    disk.append("a/b/file", b"one")
    disk.append("a/b/file", b"two")
    assert disk.size("a/b/file") == 6
    assert disk.read("a/b/file") == b"onetwo"
    assert disk.read("a/b/file", 2, 3) == b"etw"
    assert disk.read("a/b/file", 4, 100) == b"wo"
    assert disk.read("a/b/file", 100) == b""


def test_lists_files_sorted_and_leaves_folders_out(tmp_path: Path) -> None:
    disk = LocalDisk(tmp_path)
    for name in ("f/2", "f/10", "f/1", "f/folder/3"):
        disk.append(name, b"x")
    assert disk.list("f") == ["1", "10", "2"]
    assert disk.list("missing") == []


def test_appends_go_on_where_a_file_was_cut(tmp_path: Path) -> None:
    disk = LocalDisk(tmp_path)
    disk.append("file", b"whole-torn")
    disk.truncate("file", 5)
    disk.append("file", b"!")
    assert disk.read("file") == b"whole!"


def test_removed_file_begins_anew(tmp_path: Path) -> None:
    disk = LocalDisk(tmp_path)
    disk.append("file", b"old")
    disk.remove("file")
    disk.append("file", b"new")
    assert disk.read("file") == b"new"


def test_sync_covers_a_file_and_the_folders_that_lead_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    disk = LocalDisk(tmp_path / "root")
    disk.append("a/b/file", b"data")
    disk.sync("a/b/file")
    paths = [tmp_path / "root" / each for each in ("a/b/file", "a/b", "a", ".")]
    assert synced == [path.stat().st_ino for path in paths]


def test_sync_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    disk = LocalDisk(tmp_path)
    disk.append("file", b"data")
    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(StorageError, match="file: Input/output error"):
        disk.sync("file")


def test_keeps_few_files_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_module, "MAX_OPEN_FILES", 2)
    disk = LocalDisk(tmp_path)
    before = len(list(OPEN_FILES.iterdir()))
    for turn in range(3):
        for name in "abcd":
            disk.append(name, b"%d" % turn)
    assert len(list(OPEN_FILES.iterdir())) == before + 2
    disk.close()
    assert len(list(OPEN_FILES.iterdir())) == before
    assert [disk.read(name) for name in "abcd"] == [b"012"] * 4


@pytest.mark.parametrize("method", ["size", "read", "remove", "sync"])
def test_missing_file_is_named(tmp_path: Path, method: str) -> None:
    with pytest.raises(StorageError, match="gone: No such file or directory; check"):
        getattr(LocalDisk(tmp_path), method)("gone")


def test_truncate_of_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="gone"):
        LocalDisk(tmp_path).truncate("gone", 0)


def test_file_where_a_folder_should_be_is_named(tmp_path: Path) -> None:
    disk = LocalDisk(tmp_path)
    disk.append("file", b"x")
    with pytest.raises(StorageError, match="file/below"):
        disk.append("file/below", b"x")
    with pytest.raises(StorageError, match="file: Not a directory"):
        disk.list("file")


class FullDisk:
    """Stands for ``os.write`` on a disk that takes some bytes and then no more."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.write = os.write

    def __call__(self, handle: int, data: bytes) -> int:
        if self.room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = self.write(handle, data[: self.room])
        self.room -= taken
        return taken


def test_append_that_fails_half_way_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = LocalDisk(tmp_path)
    disk.append("file", b"whole")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", FullDisk(3))
        with pytest.raises(StorageError, match=r"file: No space left on device; check free space"):
            disk.append("file", b"half-written")
    assert disk.read("file") == b"whole"
    disk.append("file", b"!")
    assert disk.read("file") == b"whole!"


def test_half_that_cannot_be_cut_at_once_is_cut_by_the_next_append(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_handle: int, _size: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    disk = LocalDisk(tmp_path)
    disk.append("file", b"whole")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", FullDisk(3))
        patch.setattr(os, "ftruncate", failing)
        with pytest.raises(StorageError):
            disk.append("file", b"half-written")
        patch.setattr(os, "write", FullDisk(100))
        with pytest.raises(StorageError, match="Input/output error"):
            disk.append("file", b"!")
    disk.append("file", b"!")
    assert disk.read("file") == b"whole!"


def test_short_writes_and_reads_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, read = os.write, os.read
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:2]))
    monkeypatch.setattr(os, "read", lambda handle, length: read(handle, min(length, 3)))
    disk = LocalDisk(tmp_path)
    disk.append("file", b"0123456789")
    assert disk.read("file") == b"0123456789"
    assert disk.read("file", 1, 7) == b"1234567"


def test_an_append_to_a_file_that_was_removed_fails_and_the_next_one_begins_it_anew(tmp_path: Path) -> None:
    disk = LocalDisk(tmp_path)
    disk.append("folder/file", b"a")
    (tmp_path / "folder" / "file").unlink()
    with pytest.raises(StorageError, match="was removed while in use"):
        disk.append("folder/file", b"b")
    disk.append("folder/file", b"c")
    assert disk.read("folder/file") == b"c"
    disk.close()
