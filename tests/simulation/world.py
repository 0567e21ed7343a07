"""A broker, a disk, a clock and online state that a seed drives and that can fail and crash between any two steps.

Whatever happens in a real cluster between two effects on the outside world happens here: every effect asks `Fate`
first, which may end the process before it, in the middle of it, or right after it, or make the effect itself fail.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from schemas.errors import StorageError
from tests.support.memory_disk import MemoryDisk
from tests.support.memory_state import MemoryState


class Crash(BaseException):
    """The process is gone. No code under test may catch it."""


class RefusedError(StorageError):
    """The disk is full, or broken for now: told from the damage that a store itself reports."""


@dataclass
class Fate:
    """Decides when a process dies or a store fails; ``odds`` is the chance at each effect, 0 in a calm world."""

    random: Random
    odds: float = 0.0

    def strikes(self) -> bool:
        return self.odds > 0 and self.random.random() < self.odds

    def threaten(self) -> None:
        if self.strikes():
            raise Crash

    def refuse(self, what: str) -> None:
        if self.strikes():
            raise RefusedError(f"{what}: No space left on device")


@dataclass
class Clock:
    """The cluster's time in µs since the epoch; it never runs backwards."""

    now: int


class Record(NamedTuple):
    """One message in a topic; ``append_time`` in ms."""

    append_time: int
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


@dataclass
class Broker:
    """Topics that survive everything, and the offsets that groups have committed."""

    clock: Clock
    fate: Fate
    topics: dict[tuple[str, int], list[Record]] = field(default_factory=dict)
    committed: dict[tuple[str, int], int] = field(default_factory=dict)

    def append(self, topic: str, partition: int, value: bytes, headers: Sequence[tuple[str, bytes]] = ()) -> int:
        """Appends a record unless the process that sends it dies first; it may die right after, not knowing."""
        self.fate.threaten()
        log = self.topics.setdefault((topic, partition), [])
        log.append(Record(self.clock.now // 1000, value, tuple(headers)))
        self.fate.threaten()
        return len(log) - 1

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[tuple[int, Record]]:
        log = self.topics.get((topic, partition), [])
        return list(enumerate(log[offset : offset + limit], offset))

    def commit(self, topic: str, partition: int, offset: int) -> None:
        self.fate.threaten()
        self.committed[topic, partition] = offset


class TearingDisk(MemoryDisk):
    """A disk that may be full, whose appends may be cut short by a crash, and whose repair may be interrupted.

    After a power failure its newest bytes may be gone.
    """

    def __init__(self, fate: Fate) -> None:
        super().__init__()
        self._fate = fate

    def append(self, path: str, data: bytes) -> None:
        self._fate.refuse(path)
        if self._fate.strikes():
            written = self._fate.random.randint(0, len(data))
            if written:
                super().append(path, data[:written])
            raise Crash
        super().append(path, data)
        self._fate.threaten()

    def sync(self, path: str) -> None:
        self._fate.refuse(path)
        self._fate.threaten()
        super().sync(path)
        self._fate.threaten()

    def truncate(self, path: str, size: int) -> None:
        self._fate.refuse(path)
        self._fate.threaten()
        super().truncate(path, size)
        self._fate.threaten()

    def remove(self, path: str) -> None:
        self._fate.refuse(path)
        self._fate.threaten()
        super().remove(path)
        self._fate.threaten()

    def lose_power(self, random: Random) -> None:
        """Cuts some bytes off the newest files of each folder, as if they had never left the page cache.

        Each file for itself: which of them the kernel has written by then has nothing to do with their order.
        """
        for folder in sorted({path.rpartition("/")[0] for path in self.files}):
            for name in self.list(folder)[-3:]:
                path = f"{folder}/{name}"
                lost = random.choice([0, random.randint(1, 600)])
                self.lose_tail(path, max(0, self.size(path) - lost))


class CrashingState(MemoryState):
    """Online state whose writes are atomic, and may fail; after a power failure the newest of them may be gone."""

    def __init__(self, fate: Fate) -> None:
        super().__init__()
        self._fate = fate
        self._undo: list[dict[bytes, bytes | None]] = []

    def write(
        self,
        operations: Mapping[bytes, bytes | None] | Sequence[tuple[bytes, bytes | None]],
        *,
        dropped: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        self._fate.refuse("state")
        self._fate.threaten()
        pairs: list[tuple[bytes, bytes | None]] = [(key, None) for key in self.within(dropped)]
        pairs += operations.items() if isinstance(operations, Mapping) else operations
        self._undo.append({key: self.entries.get(key) for key, _ in pairs})
        super().write(pairs)
        self._fate.refuse("state, which has it all")
        self._fate.threaten()

    def lose_power(self, random: Random) -> None:
        """Takes back some of the newest writes."""
        for _ in range(random.randint(0, min(3, len(self._undo)))):
            super().write(self._undo.pop())
