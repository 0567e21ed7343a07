import subprocess
import sys
from pathlib import Path

from infra.file_lock import FileLock

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
