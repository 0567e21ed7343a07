import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from infra.process.file_lock import FileLock

HOLD = "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX); print(flush=True); input()"


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "lock"
    first, second = FileLock(path), FileLock(path)
    assert first.acquire(timeout=0)
    assert not second.acquire(timeout=0)
    assert not second.acquire(timeout=0.05)
    first.release()
    assert second.acquire(timeout=0)
    second.release()
    second.release()
    assert path.exists()


def test_waits_for_another_process_and_outlasts_its_death(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = FileLock(path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert not lock.acquire(timeout=0)
        holder.kill()
        assert lock.acquire(timeout=10)
    lock.release()


@pytest.mark.parametrize("moved", [False, True])
def test_holder_knows_that_its_file_is_gone_and_others_take_the_one_at_the_path(tmp_path: Path, *, moved: bool) -> None:
    path = tmp_path / "lock"
    first, second = FileLock(path), FileLock(path)
    assert not first.in_place()
    assert first.acquire(timeout=0)
    assert first.in_place()
    path.rename(tmp_path / "moved") if moved else path.unlink()
    assert not first.in_place()
    assert second.acquire(timeout=0)
    assert second.in_place()
    assert not first.in_place()
    first.release()
    assert second.in_place()
    second.release()


def test_file_that_is_replaced_while_it_is_being_locked_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, winner = tmp_path / "lock", FileLock(tmp_path / "lock")
    flock = fcntl.flock

    def late(handle: int, operation: int) -> None:
        """Locks a file that somebody has removed since it was opened, and whose successor another one has locked."""
        monkeypatch.setattr(fcntl, "flock", flock)
        path.unlink()
        assert winner.acquire(timeout=0)
        flock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    assert not FileLock(path).acquire(timeout=0)
    assert winner.in_place()
    winner.release()
