"""What an aggregate function is to whoever compiles, folds and reads: a value that knows all about itself.

A function names the partials that it needs. Rows are lifted to partials, partials merge, and the function finishes what
was merged. A function is bound: its parameters are in it, so that nobody else handles them.

Invariant: a function sees partials only, never rows, so every path (tiles, window edges, backfill, training sets)
computes the same value. For every kind of partial, merging the lifts of any split of some rows, in any order, gives the
lift of all of them (moments are distinct), so a tile's content depends on the set of its rows alone.

A partial is made of what MessagePack holds; ``None`` stands for "no row at all". Columns may be null; a null counts as
a row but adds nothing (rule DF-3).
"""

from collections.abc import Sequence
from typing import Any, Protocol

from schemas.types import DataType

Moment = int | bytes
"""When a row is, to be compared with others of its key: event time in µs since the epoch, or, of a view with identity
columns, event time and identity as its row key has them (``schemas.state.keys``), which sort by time first."""


class PartialKind(Protocol):
    """How rows become one kind of partial, and how partials merge. Kinds are frozen dataclasses: equal ones are one."""

    __slots__ = ()

    @property
    def kept(self) -> int:
        """Returns how many values a partial keeps at most; 0 where it keeps a result of fixed size."""

    def lift(self, times: Sequence[Moment], values: Sequence[Any]) -> Any:
        """Returns the partial of some rows.

        Args:
            times: the rows' moments, one per value.
            values: the column's values; null where the row has none.
        """

    def merge(self, partials: Sequence[Any]) -> Any:
        """Returns the partial of all rows behind the given ones; none of them is None, at least one is given."""


class AggregateFunction(Protocol):
    """One aggregate function, bound. Functions are frozen dataclasses whose fields are their parameters.

    A parameter's default is what holds where a definition does not give it; ``__post_init__`` raises
    `schemas.errors.DefinitionError` for a value that it cannot have (``n=0 must be 1..1000``).
    """

    __slots__ = ()

    @property
    def accepts(self) -> tuple[DataType, ...] | None:
        """Returns the types of column that it takes; None: every scalar type."""

    @property
    def nothing(self) -> Any:
        """Returns the value over no rows, where a caller asks for one instead of null; None if there is none."""

    def text(self) -> str:
        """Returns the function's part of a default feature name."""

    def output(self, column: DataType) -> DataType:
        """Returns the feature's type."""

    def partials(self, column: DataType) -> tuple[PartialKind, ...]:
        """Returns the partials that it needs of its column; functions of one column share equal ones."""

    def finish(self, partials: Sequence[Any]) -> Any:
        """Returns the feature's value; none of the partials is None."""
