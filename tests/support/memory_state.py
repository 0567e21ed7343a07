"""Online state in memory: a sorted map that reads as RocksDB does, for tests that need no disk."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from sortedcontainers import SortedDict
from typing_extensions import override

from schemas.state.reader import Reader

Write = tuple[bytes, bytes | None]


class MemoryState(Reader):
    """A ``schemas.state.reader.Reader`` that can be written.

    Args:
        entries: what it holds at first.
    """

    def __init__(self, entries: Mapping[bytes, bytes] | None = None) -> None:
        self.entries: SortedDict[bytes, bytes] = SortedDict(entries or {})

    @override
    def get(self, key: bytes) -> bytes | None:
        return self.entries.get(key)

    @override
    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        return [self.entries.get(key) for key in keys]

    @override
    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yields what there is at the call, whatever is written while it is read."""
        keys = list(self.entries.irange(start, end, inclusive=(True, False)))
        return iter([(key, self.entries[key]) for key in keys])

    def keys(self, start: bytes, end: bytes, limit: int) -> list[bytes]:
        return list(islice(self.entries.irange(start, end, inclusive=(True, False)), limit))

    @override
    def last_before(self, start: bytes, end: bytes) -> tuple[bytes, bytes] | None:
        key = next(self.entries.irange(start, end, inclusive=(True, False), reverse=True), None)
        return None if key is None else (key, self.entries[key])

    def write(
        self, operations: Mapping[bytes, bytes | None] | Sequence[Write], *, dropped: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        """Drops ranges, then applies writes in order; None deletes, and deleting what is not there does nothing."""
        pairs = operations.items() if isinstance(operations, Mapping) else operations
        for key in self.within(dropped):
            del self.entries[key]
        for key, value in pairs:
            if value is None:
                self.entries.pop(key, None)
            else:
                self.entries[key] = value

    def within(self, ranges: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """Returns the keys that lie in any of the ranges."""
        return [key for start, end in ranges for key in self.entries.irange(start, end, inclusive=(True, False))]
