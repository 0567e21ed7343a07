"""Adding: exact sums, and what is made of them.

| kind      | partial                                                       |
|-----------|---------------------------------------------------------------|
| int_sum   | exact sum; beyond 64 bits as decimal text                     |
| float_sum | ``schemas.aggregation.exact_sum``; [] also where all are null |
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol

from typing_extensions import override

from schemas.aggregation import exact_sum
from schemas.aggregation.aggregate import AggregateFunction, Moment, PartialKind
from schemas.aggregation.counts import Count
from schemas.types import INT64_MAX, INT64_MIN, DataType, Float64, Int64

NUMBERS: Final[tuple[DataType, ...]] = (Int64, Float64)


@dataclass(frozen=True, slots=True)
class IntSum(PartialKind):
    """Adds integers exactly."""

    kept: ClassVar[int] = 0

    @override
    def lift(self, times: Sequence[Moment], values: Sequence[Any]) -> Any:
        return self.merge([value for value in values if value is not None])

    @override
    def merge(self, partials: Sequence[Any]) -> Any:
        try:
            total = sum(partials)
        except TypeError:
            total = sum(map(int, partials))
        # As text, not null: MessagePack's integers end at 64 bits, but a negative value may bring the sum back.
        return total if INT64_MIN <= total <= INT64_MAX else str(total)


@dataclass(frozen=True, slots=True)
class FloatSum(PartialKind):
    """Adds floats exactly."""

    kept: ClassVar[int] = 0

    @override
    def lift(self, times: Sequence[Moment], values: Sequence[Any]) -> Any:
        return exact_sum.lift([value for value in values if value is not None])

    @override
    def merge(self, partials: Sequence[Any]) -> Any:
        return partials[0] if len(partials) == 1 else exact_sum.merge(partials)


class OfSumFunction(AggregateFunction, Protocol):
    """What functions that are made of an exact sum have in common: all but what they make of it."""

    __slots__ = ()

    accepts: ClassVar[tuple[DataType, ...] | None] = NUMBERS
    nothing: ClassVar[None] = None

    @override
    def partials(self, column: DataType) -> tuple[PartialKind, ...]:
        """Returns the sum, with the count that tells a sum of nothing from zero."""
        return (Count(), FloatSum() if column == Float64 else IntSum())


@dataclass(frozen=True, slots=True)
class SumFunction(OfSumFunction):
    """Exact sum; integers stay integers."""

    @override
    def text(self) -> str:
        return "sum"

    @override
    def output(self, column: DataType) -> DataType:
        return column

    @override
    def finish(self, partials: Sequence[Any]) -> Any:
        """Returns null where every value is null, and where the sum does not fit in 64 bits."""
        count, total = partials
        if not count:
            return None
        if isinstance(total, str):
            return None
        return exact_sum.finish(total) if isinstance(total, list) else total


@dataclass(frozen=True, slots=True)
class MeanFunction(OfSumFunction):
    """Exact sum divided by the count, correctly rounded."""

    @override
    def text(self) -> str:
        return "mean"

    @override
    def output(self, column: DataType) -> DataType:
        return Float64

    @override
    def finish(self, partials: Sequence[Any]) -> Any:
        """Returns null where every value is null."""
        count, total = partials
        if not count:
            return None
        return exact_sum.finish_mean(total, count) if isinstance(total, list) else int(total) / count


def is_out_of_range(partials: Sequence[Any]) -> bool:
    """Returns whether a function's value is null because a sum of integers does not fit in 64 bits.

    Args:
        partials: those of a function that finished them with null.
    """
    return any(isinstance(partial, str) for partial in partials)  # exact sums alone, and only beyond 64 bits
