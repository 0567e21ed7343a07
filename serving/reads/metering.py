"""What a request reads of online state, measured: only for callers that ask, as it costs time.

Invariant: a metered read returns exactly what the plain one would.
"""

from collections.abc import Iterator
from time import perf_counter

from typing_extensions import override

from schemas.state.reader import Reader
from serving.reads.read_plan import OpenPartition, Partition, ViewFacts


class Meter:
    """The reads of one request.

    Attributes:
        size: bytes of the keys and values that were read.
        longest: time that the slowest one took, in seconds.
    """

    def __init__(self) -> None:
        self.size = 0
        self.longest = 0.0

    def opener(self, open_partition: OpenPartition) -> OpenPartition:
        """Returns what opens the same partitions, metered."""
        return lambda number: MeteredPartition(open_partition(number), self)

    def count(self, started: float, size: int) -> None:
        """Adds a read that began at a ``perf_counter`` reading and returned ``size`` bytes."""
        self.size += size
        self.longest = max(self.longest, perf_counter() - started)


class MeteredPartition(Partition):
    """A ``Partition`` whose reads are measured."""

    def __init__(self, partition: Partition, meter: Meter) -> None:
        self._reader = MeteredReader(partition.reader, meter)
        self._partition = partition

    @property
    @override
    def reader(self) -> Reader:
        return self._reader

    @override
    def facts(self, view: int) -> ViewFacts:
        return self._partition.facts(view)


class MeteredReader(Reader):
    """A ``Reader`` that tells a meter what it reads."""

    def __init__(self, reader: Reader, meter: Meter) -> None:
        self._reader = reader
        self._meter = meter

    @override
    def get(self, key: bytes) -> bytes | None:
        return self.get_many([key])[0]

    @override
    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        started = perf_counter()
        values = self._reader.get_many(keys)
        found = [(key, value) for key, value in zip(keys, values, strict=True) if value is not None]
        self._meter.count(started, _size(found))
        return values

    @override
    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        started = perf_counter()
        found = list(self._reader.scan(start, end))
        self._meter.count(started, _size(found))
        return iter(found)

    @override
    def last_before(self, start: bytes, end: bytes) -> tuple[bytes, bytes] | None:
        started = perf_counter()
        found = self._reader.last_before(start, end)
        self._meter.count(started, _size([found] if found else []))
        return found


def _size(found: list[tuple[bytes, bytes]]) -> int:
    return sum(len(key) + len(value) for key, value in found)
