"""The aggregate functions: which partials each needs, and how it finishes them.

Invariant: a function sees partials only, never rows, so every path (tiles, window edges, backfill, training sets)
computes the same value. A new aggregate is one class and one entry in ``FUNCTIONS``.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol

from typing_extensions import override

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


class CountFunction(AggregateFunction):
    """Number of values that are not null."""

    accepts: tuple[DataType, ...] | None = None
    takes_n = False

    @override
    def text(self, n: int | None) -> str:
        return "count"

    @override
    def output(self, column: DataType, n: int | None) -> DataType:
        return Int64

    @override
    def partials(self, column: DataType, n: int | None) -> tuple[tuple[str, PartialKind], ...]:
        return (("count", Count()),)

    @override
    def finish(self, partials: Sequence[Any], n: int | None) -> Any:
        return partials[0]


_COUNT: Final = ("count", Count())


def _sum(column: DataType) -> tuple[str, PartialKind]:
    return ("sum", FloatSum() if column == Float64 else IntSum())


class SumFunction(AggregateFunction):
    """Exact sum; integers stay integers."""

    accepts: tuple[DataType, ...] | None = (Int64, Float64)
    takes_n = False

    @override
    def text(self, n: int | None) -> str:
        return "sum"

    @override
    def output(self, column: DataType, n: int | None) -> DataType:
        return column

    @override
    def partials(self, column: DataType, n: int | None) -> tuple[tuple[str, PartialKind], ...]:
        return (_COUNT, _sum(column))

    @override
    def finish(self, partials: Sequence[Any], n: int | None) -> Any:
        """Returns null where every value is null, and where the sum does not fit in 64 bits."""
        count, total = partials
        if not count:
            return None
        if isinstance(total, str):
            return None
        return exact_sum.finish(total) if isinstance(total, list) else total


class MeanFunction(AggregateFunction):
    """Exact sum divided by the count, correctly rounded."""

    accepts: tuple[DataType, ...] | None = (Int64, Float64)
    takes_n = False

    @override
    def text(self, n: int | None) -> str:
        return "mean"

    @override
    def output(self, column: DataType, n: int | None) -> DataType:
        return Float64

    @override
    def partials(self, column: DataType, n: int | None) -> tuple[tuple[str, PartialKind], ...]:
        return (_COUNT, _sum(column))

    @override
    def finish(self, partials: Sequence[Any], n: int | None) -> Any:
        """Returns null where every value is null."""
        count, total = partials
        if not count:
            return None
        return exact_sum.finish_mean(total, count) if isinstance(total, list) else int(total) / count


class ExtremeFunction(AggregateFunction):
    """The least or the greatest value; NaN is greater than every number."""

    accepts: tuple[DataType, ...] | None = (Int64, Float64, String, Timestamp)
    takes_n = False

    def __init__(self, name: str) -> None:
        self._name = name
        self._choose = {"min": min, "max": max}[name]

    @override
    def text(self, n: int | None) -> str:
        return self._name

    @override
    def output(self, column: DataType, n: int | None) -> DataType:
        return column

    @override
    def partials(self, column: DataType, n: int | None) -> tuple[tuple[str, PartialKind], ...]:
        return ((self._name, Extreme(self._choose, column == Float64)),)

    @override
    def finish(self, partials: Sequence[Any], n: int | None) -> Any:
        return partials[0][0] if partials[0] else None


class LastFunction(AggregateFunction):
    """The newest value, or with ``n`` the n newest, oldest first."""

    accepts: tuple[DataType, ...] | None = None
    takes_n = True

    @override
    def text(self, n: int | None) -> str:
        return "last" if n is None else f"last_{n}"

    @override
    def output(self, column: DataType, n: int | None) -> DataType:
        return column if n is None else Array(column)

    @override
    def partials(self, column: DataType, n: int | None) -> tuple[tuple[str, PartialKind], ...]:
        return ((f"last_{n or 1}", Last(n or 1)),)

    @override
    def finish(self, partials: Sequence[Any], n: int | None) -> Any:
        """Returns null where every value is null."""
        values = partials[0][1::2]
        if not values:
            return None
        return values[-1] if n is None else values


FUNCTIONS: Final[dict[str, AggregateFunction]] = {
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
