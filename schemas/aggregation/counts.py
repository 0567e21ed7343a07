"""Counting: how many values are not null.

| kind  | partial                   |
|-------|---------------------------|
| count | number of non-null values |
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import override

from schemas.aggregation.aggregate import AggregateFunction, Moment, PartialKind
from schemas.types import DataType, Int64


@dataclass(frozen=True, slots=True)
class Count(PartialKind):
    """Counts values that are not null."""

    kept: ClassVar[int] = 0

    @override
    def lift(self, times: Sequence[Moment], values: Sequence[Any]) -> Any:
        return len(values) - values.count(None)

    @override
    def merge(self, partials: Sequence[Any]) -> Any:
        return sum(partials)


@dataclass(frozen=True, slots=True)
class CountFunction(AggregateFunction):
    """Number of values that are not null."""

    accepts: ClassVar[tuple[DataType, ...] | None] = None
    nothing: ClassVar[int] = 0

    @override
    def text(self) -> str:
        return "count"

    @override
    def output(self, column: DataType) -> DataType:
        return Int64

    @override
    def partials(self, column: DataType) -> tuple[PartialKind, ...]:
        return (Count(),)

    @override
    def finish(self, partials: Sequence[Any]) -> Any:
        return partials[0]
