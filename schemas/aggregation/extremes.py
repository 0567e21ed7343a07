"""Least and greatest.

| kind    | partial                          |
|---------|----------------------------------|
| extreme | [value]; [] where all are null   |
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import copysign, isnan, nan
from typing import Any, ClassVar, Final, Literal, Protocol

from typing_extensions import override

from schemas.aggregation.aggregate import AggregateFunction, Moment, PartialKind
from schemas.types import DataType, Float64, Int64, String, Timestamp

ORDERED: Final[tuple[DataType, ...]] = (Int64, Float64, String, Timestamp)

Which = Literal["min", "max"]

_CHOOSE: Final[Mapping[Which, Callable[..., Any]]] = {"min": min, "max": max}


def _rank(value: float) -> tuple[bool, float, float]:
    """Orders floats so that NaN is greatest, as SQL engines do; -0.0 sorts before 0.0."""
    return (isnan(value), 0.0 if isnan(value) else value, copysign(1.0, value))


@dataclass(frozen=True, slots=True)
class Extreme(PartialKind):
    """Keeps the least or the greatest value.

    Attributes:
        which: ``min`` or ``max``.
        floats: whether values are floats, of which NaN is the greatest.
    """

    kept: ClassVar[int] = 1

    which: Which
    floats: bool

    @override
    def lift(self, times: Sequence[Moment], values: Sequence[Any]) -> Any:
        return self._best([value for value in values if value is not None])

    @override
    def merge(self, partials: Sequence[Any]) -> Any:
        return self._best([partial[0] for partial in partials if partial])

    def _best(self, present: list[Any]) -> list[Any]:
        choose = _CHOOSE[self.which]
        if not self.floats:
            return [choose(present)] if present else present
        if len(present) < 2:  # noqa: PLR2004 - nothing to choose from
            return [nan] if present and isnan(present[0]) else present
        total = sum(present)
        if total == total:  # noqa: PLR0124 - false for NaN; without one, only a zero needs to be looked at twice
            best = choose(present)
            if best:
                return [best]
        best = choose(present, key=_rank)
        return [nan if isnan(best) else best]  # there are many NaNs; which one came first must not show


class ExtremeFunction(AggregateFunction, Protocol):
    """What min and max have in common: all but which of the two they are."""

    __slots__ = ()

    accepts: ClassVar[tuple[DataType, ...] | None] = ORDERED
    nothing: ClassVar[None] = None
    which: ClassVar[Which]

    @override
    def text(self) -> str:
        return self.which

    @override
    def output(self, column: DataType) -> DataType:
        return column

    @override
    def partials(self, column: DataType) -> tuple[PartialKind, ...]:
        return (Extreme(self.which, column == Float64),)

    @override
    def finish(self, partials: Sequence[Any]) -> Any:
        """Returns null where every value is null."""
        return partials[0][0] if partials[0] else None


@dataclass(frozen=True, slots=True)
class MinFunction(ExtremeFunction):
    """The least value; NaN is greater than every number."""

    which: ClassVar[Which] = "min"


@dataclass(frozen=True, slots=True)
class MaxFunction(ExtremeFunction):
    """The greatest value; NaN is greater than every number."""

    which: ClassVar[Which] = "max"
