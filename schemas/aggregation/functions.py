"""The aggregate functions: which partials each needs, and how it finishes them.

Invariant: a function sees partials only, never rows, so every path (tiles, window edges, backfill, training sets)
computes the same value. A new aggregate is one class and one entry in ``FUNCTIONS``.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from schemas.aggregation import exact_sum
from schemas.aggregation.partials import Count, Extreme, FloatSum, IntSum, Last, PartialKind
from schemas.types import Array, DataType, Float64, Int64, Scalar, String, Timestamp


class AggregateFunction(Protocol):
    """One aggregate function."""

    accepts: tuple[DataType, ...] | None
    """The types of column that it takes; None: every scalar type."""
    takes_n: bool
    """Whether the argument ``n`` may be given."""

    def text(self, n: int | None) -> str:
        """Returns the function's part of a default feature name."""

    def output(self, column: DataType, n: int | None) -> DataType:
        """Returns the feature's type."""

    def partials(self, column: DataType, n: int | None) -> tuple[tuple[str, PartialKind], ...]:
        """Returns the partials it needs of its column, each with the name under which views share it."""

    def finish(self, partials: Sequence[Any], n: int | None) -> Any:
        """Returns the feature's value; none of the partials is None."""


class CountFunction:
    """Number of values that are not null."""

    accepts: tuple[DataType, ...] | None = None
    takes_n = False

    def text(self, n: int | None) -> str:  # noqa: ARG002 - the protocol's
        """See ``AggregateFunction``."""
        return "count"

    def output(self, column: DataType, n: int | None) -> DataType:  # noqa: ARG002 - the protocol's
        """See ``AggregateFunction``."""
        return Int64

    def partials(self, column: DataType, n: int | None) -> tuple[tuple[str, PartialKind], ...]:  # noqa: ARG002
        """See ``AggregateFunction``."""
        return (("count", Count()),)

    def finish(self, partials: Sequence[Any], n: int | None) -> Any:  # noqa: ARG002 - the protocol's
        """See ``AggregateFunction``."""
        return partials[0]


_COUNT = ("count", Count())


def _sum(column: DataType) -> tuple[str, PartialKind]:
    return ("sum", FloatSum() if column == Float64 else IntSum())


class SumFunction:
    """Exact sum; integers stay integers."""

    accepts: tuple[DataType, ...] | None = (Int64, Float64)
    takes_n = False

    def text(self, n: int | None) -> str:  # noqa: ARG002 - the protocol's
        """See ``AggregateFunction``."""
        return "sum"

    def output(self, column: DataType, n: int | None) -> DataType:  # noqa: ARG002 - the protocol's
        """See ``AggregateFunction``."""
        return column

    def partials(self, column: DataType, n: int | None) -> tuple[tuple[str, PartialKind], ...]:  # noqa: ARG002
        """See ``AggregateFunction``."""
        return (_COUNT, _sum(column))

    def finish(self, partials: Sequence[Any], n: int | None) -> Any:  # noqa: ARG002 - the protocol's
        """See ``AggregateFunction``; null where every value is null, or where the sum does not fit in 64 bits."""
        count, total = partials
        if not count:
            return None
        if isinstance(total, str):
            return None
        return exact_sum.finish(total) if isinstance(total, list) else total


class MeanFunction:
    """Exact sum divided by the count, correctly rounded."""

    accepts: tuple[DataType, ...] | None = (Int64, Float64)
    takes_n = False

    def text(self, n: int | None) -> str:  # noqa: ARG002 - the protocol's
        """See ``AggregateFunction``."""
        return "mean"

    def output(self, column: DataType, n: int | None) -> DataType:  # noqa: ARG002 - the protocol's
        """See ``AggregateFunction``."""
        return Float64

    def partials(self, column: DataType, n: int | None) -> tuple[tuple[str, PartialKind], ...]:  # noqa: ARG002
        """See ``AggregateFunction``."""
        return (_COUNT, _sum(column))

    def finish(self, partials: Sequence[Any], n: int | None) -> Any:  # noqa: ARG002 - the protocol's
        """See ``AggregateFunction``; null where every value is null."""
        count, total = partials
        if not count:
            return None
        return exact_sum.finish_mean(total, count) if isinstance(total, list) else int(total) / count


class ExtremeFunction:
    """The least or the greatest value; NaN is greater than every number."""

    accepts: tuple[DataType, ...] | None = (Int64, Float64, String, Timestamp)
    takes_n = False

    def __init__(self, name: str) -> None:
        self._name = name
        self._choose = {"min": min, "max": max}[name]

    def text(self, n: int | None) -> str:  # noqa: ARG002 - the protocol's
        """See ``AggregateFunction``."""
        return self._name

    def output(self, column: DataType, n: int | None) -> DataType:  # noqa: ARG002 - the protocol's
        """See ``AggregateFunction``."""
        return column

    def partials(self, column: DataType, n: int | None) -> tuple[tuple[str, PartialKind], ...]:  # noqa: ARG002
        """See ``AggregateFunction``."""
        return ((self._name, Extreme(self._choose, column == Float64)),)

    def finish(self, partials: Sequence[Any], n: int | None) -> Any:  # noqa: ARG002 - the protocol's
        """See ``AggregateFunction``."""
        return partials[0][0] if partials[0] else None


class LastFunction:
    """The newest value, or with ``n`` the n newest, oldest first."""

    accepts: tuple[DataType, ...] | None = None
    takes_n = True

    def text(self, n: int | None) -> str:
        """See ``AggregateFunction``."""
        return "last" if n is None else f"last_{n}"

    def output(self, column: DataType, n: int | None) -> DataType:
        """See ``AggregateFunction``."""
        return column if n is None else Array(column)

    def partials(self, column: DataType, n: int | None) -> tuple[tuple[str, PartialKind], ...]:  # noqa: ARG002
        """See ``AggregateFunction``."""
        return ((f"last_{n or 1}", Last(n or 1)),)

    def finish(self, partials: Sequence[Any], n: int | None) -> Any:
        """See ``AggregateFunction``; null where every value is null."""
        values = partials[0][1::2]
        if not values:
            return None
        return values[-1] if n is None else values


FUNCTIONS: dict[str, AggregateFunction] = {
    "count": CountFunction(),
    "sum": SumFunction(),
    "mean": MeanFunction(),
    "min": ExtremeFunction("min"),
    "max": ExtremeFunction("max"),
    "last": LastFunction(),
}


def is_out_of_range(partials: Sequence[Any]) -> bool:
    """Returns whether a function's value is null because a sum of integers does not fit in 64 bits.

    Args:
        partials: those of a function that finished them with null.
    """
    return any(isinstance(partial, str) for partial in partials)  # exact sums alone, and only beyond 64 bits


def accepts(function: AggregateFunction, column: DataType) -> bool:
    """Returns whether a function takes columns of a type."""
    if function.accepts is None:
        return isinstance(column, Scalar)
    return column in function.accepts
