import shutil
from pathlib import Path

import pytest

from infra.database import folders
from infra.database.folders import SecondaryFolder
from infra.process.file_lock import FileLock


def made_in(base: Path) -> set[Path]:
    return {path for path in base.iterdir() if path.is_dir()}


def test_folders_of_dead_processes_are_removed_and_others_kept(tmp_path: Path) -> None:
    leftover = tmp_path / "123-leftover"
    leftover.mkdir()
    (leftover / "LOG").touch()
    first = SecondaryFolder(tmp_path)
    second = SecondaryFolder(tmp_path)
    assert not leftover.exists()
    assert first.path.exists()
    assert second.path.exists()
    assert first.path != second.path
    first.close()
    second.close()


def test_a_folder_goes_with_all_that_is_in_it_and_others_stay(tmp_path: Path) -> None:
    base = tmp_path / "made" / "when missing"
    first, second = SecondaryFolder(base), SecondaryFolder(base)
    (first.path / "LOG").write_text("log")
    first.close()
    assert made_in(base) == {second.path}
    second.close()
    second.close()
    assert made_in(base) == set()


def test_a_folder_that_somebody_removed_can_be_closed(tmp_path: Path) -> None:
    folder = SecondaryFolder(tmp_path)
    shutil.rmtree(folder.path)
    folder.close()


def test_while_another_process_makes_one_it_waits_and_then_says_what_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    class Held(FileLock):
        def acquire(self, timeout: float) -> bool:
            asked.append(timeout)
            return False

    monkeypatch.setattr(folders, "FileLock", Held)
    with pytest.raises(TimeoutError, match=r"folders\.lock is held by another process for more than 10 s"):
        SecondaryFolder(tmp_path)
    assert asked == [10.0]
    assert made_in(tmp_path) == set()


def test_who_fails_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_options: object) -> str:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("tempfile.mkdtemp", fail)
        with pytest.raises(OSError, match="No space"):
            SecondaryFolder(tmp_path)
    guard = FileLock(tmp_path / "folders.lock")
    assert guard.acquire(timeout=0)
    guard.release()
