"""A disk in memory, for tests that damage it."""

from schemas.errors import StorageError


class MemoryDisk:
    """``infra.segments.disk.Disk`` over a dict; ``full`` makes appends fail.

    ``synced``: how many bytes of each file outlast a crash of the machine; of the others any number at the end may not.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytearray] = {}
        self.synced: dict[str, int] = {}
        self.full = False

    def list(self, folder: str) -> list[str]:
        return sorted(path.rpartition("/")[2] for path in self.files if path.rpartition("/")[0] == folder)

    def size(self, path: str) -> int:
        return len(self.files[path])

    def read(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        return bytes(self.files[path][offset : None if length is None else offset + length])

    def append(self, path: str, data: bytes) -> None:
        if self.full:
            raise StorageError(f"{path}: No space left on device")
        self.files.setdefault(path, bytearray()).extend(data)

    def sync(self, path: str) -> None:
        self.synced[path] = len(self.files[path])

    def truncate(self, path: str, size: int) -> None:
        del self.files[path][size:]
        self.synced[path] = min(size, self.synced.get(path, 0))

    def remove(self, path: str) -> None:
        del self.files[path]
        self.synced.pop(path, None)

    def lose_tail(self, path: str, size: int) -> None:
        """Cuts a file to ``size`` bytes as a crash of the machine may, unless more of it was synced."""
        kept = max(size, self.synced.get(path, 0))
        del self.files[path][kept:]
        if not kept:
            del self.files[path]
