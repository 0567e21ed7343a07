"""What the processors ask of online state: sorted reads, atomic writes, and the offset it has reached.

Invariant: the offset is written with the rows it covers or not at all, so it always tells where to resume.
"""

from collections.abc import Sequence
from typing import Protocol

from processors.materialize.fold import decode
from schemas.state.keys import NEXT_OFFSET
from schemas.state.reader import Reader


class State(Reader, Protocol):
    """The state of one updates partition, for its one writer; every method raises StorageError if the store fails."""

    def write(
        self, operations: Sequence[tuple[bytes, bytes | None]], *, dropped: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        """Drops the ranges (first key and the one behind), then applies all operations (key and value; None deletes).

        In order, and all of it at once or nothing.
        """
        ...


def next_offset_of(state: Reader) -> int | None:
    """Returns the offset after the last update that the state holds; None while it holds none."""
    value = state.get(NEXT_OFFSET)
    return None if value is None else int(decode(value))
