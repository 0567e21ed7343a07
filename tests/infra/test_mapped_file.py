import errno
import os
from pathlib import Path

import pytest

from infra.mapped_file import map_whole


def full_disk(*_: object) -> int:
    """Stands for ``os.pwrite`` on a full disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def has_a_block(path: Path) -> bool:
    """Returns whether a file begins with data, not with a hole (where the file system cannot tell, it does)."""
    with path.open("rb") as file:
        try:
            return os.lseek(file.fileno(), 0, os.SEEK_DATA) == 0
        except OSError:
            return False


def test_new_file_is_zeros_with_real_blocks(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    mapped, _ = map_whole(path, 512)
    assert bytes(mapped) == bytes(512)
    assert has_a_block(path)
    mapped.close()


def test_hole_that_somebody_left_is_filled(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(8192)
    mapped, status = map_whole(path, 512)
    assert has_a_block(path)
    assert status.st_size == 8192
    mapped.close()


def test_what_a_file_holds_stays_and_stores_reach_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"held")
    mapped, _ = map_whole(path, 16)
    mapped[8:] = b"stored!!"
    assert path.read_bytes() == b"held" + bytes(4) + b"stored!!"
    mapped.close()


def test_full_disk_is_an_error_when_the_file_is_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(bytes(16))
    monkeypatch.setattr(os, "pwrite", full_disk)
    for name in ("file", "new"):
        with pytest.raises(OSError, match="No space left"):
            map_whole(tmp_path / name, 16)
