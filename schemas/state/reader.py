"""How pure code reads and writes online state, whoever holds it: a database, a secondary, or a dict in a test.

Invariant: keys are compared as bytes, and what one call returns is of one moment.

Keys that begin with ``RESERVED_PREFIX`` belong to the database itself (``infra.database.layout``); nobody else writes
them.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

RESERVED_PREFIX: Final = b"D"


class Reader(Protocol):
    """A sorted map from bytes to bytes."""

    def get(self, key: bytes) -> bytes | None:
        """Returns the value of ``key``, or None."""
        ...

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """Returns the values of ``keys``, in their order; None for each that is absent."""
        ...

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yields keys and values from ``start`` (inclusive) to ``end`` (exclusive), ascending."""
        ...

    def last_before(self, start: bytes, end: bytes) -> tuple[bytes, bytes] | None:
        """Returns the greatest key in ``start`` (inclusive) to ``end`` (exclusive) with its value, or None."""
        ...


class State(Reader, Protocol):
    """The state of one updates partition, for its one writer; every method raises StorageError if the store fails."""

    def write(
        self, operations: Sequence[tuple[bytes, bytes | None]], *, dropped: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        """Drops the ranges (first key and the one behind), then applies all operations (key and value; None deletes).

        In order, and all of it at once or nothing.
        """
        ...
