"""The kinds of partials that tiles hold: what rows are lifted to, and what tiles and windows merge.

Invariant: for every kind, merging the lifts of any split of some rows, in any order, gives the lift of all of them
(event times are distinct), so a tile's content depends on the set of its rows alone.

A partial is made of what MessagePack holds; ``None`` stands for "no row at all". Columns may be null; a null counts as
a row but adds nothing (`reference/tecton-http-api.md` §5: nulls excluded).

| kind       | partial                                                      |
|------------|--------------------------------------------------------------|
| count      | number of non-null values                                    |
| int_sum    | exact sum; beyond 64 bits as decimal text                    |
| float_sum  | ``schemas.aggregation.exact_sum``; [] also where all are null|
| min, max   | [value]; [] where all are null                               |
| last       | [time, value, time, value, ...], the n newest, oldest first  |
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from math import copysign, isnan, nan
from operator import itemgetter
from typing import Any, Protocol

from typing_extensions import override

from schemas.aggregation import exact_sum
from schemas.types import INT64_MAX, INT64_MIN


class PartialKind(Protocol):
    """How rows become one kind of partial, and how partials merge."""

    __slots__ = ()

    @property
    def kept(self) -> int:
        """Returns how many values a partial keeps at most; 0 where it keeps a result of fixed size."""

    def lift(self, times: Sequence[int], values: Sequence[Any]) -> Any:
        """Returns the partial of some rows.

        Args:
            times: event times in µs since the epoch, one per value.
            values: the column's values; null where the row has none.
        """

    def merge(self, partials: Sequence[Any]) -> Any:
        """Returns the partial of all rows behind the given ones; none of them is None, at least one is given."""


@dataclass(frozen=True, slots=True)
class Count(PartialKind):
    """Counts values that are not null."""

    kept = 0

    @override
    def lift(self, times: Sequence[int], values: Sequence[Any]) -> Any:
        return len(values) - values.count(None)

    @override
    def merge(self, partials: Sequence[Any]) -> Any:
        return sum(partials)


@dataclass(frozen=True, slots=True)
class IntSum(PartialKind):
    """Adds integers exactly."""

    kept = 0

    @override
    def lift(self, times: Sequence[int], values: Sequence[Any]) -> Any:
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

    kept = 0

    @override
    def lift(self, times: Sequence[int], values: Sequence[Any]) -> Any:
        return exact_sum.lift([value for value in values if value is not None])

    @override
    def merge(self, partials: Sequence[Any]) -> Any:
        return partials[0] if len(partials) == 1 else exact_sum.merge(partials)


def _rank(value: float) -> tuple[bool, float, float]:
    """Orders floats so that NaN is greatest, as SQL engines do; -0.0 sorts before 0.0."""
    return (isnan(value), 0.0 if isnan(value) else value, copysign(1.0, value))


@dataclass(frozen=True, slots=True)
class Extreme(PartialKind):
    """Keeps the least or the greatest value; ``choose`` is ``min`` or ``max``."""

    kept = 1
    choose: Callable[..., Any]
    floats: bool

    @override
    def lift(self, times: Sequence[int], values: Sequence[Any]) -> Any:
        return self._best([value for value in values if value is not None])

    @override
    def merge(self, partials: Sequence[Any]) -> Any:
        return self._best([partial[0] for partial in partials if partial])

    def _best(self, present: list[Any]) -> list[Any]:
        if not self.floats:
            return [self.choose(present)] if present else present
        if len(present) < 2:  # noqa: PLR2004 - nothing to choose from
            return [nan] if present and isnan(present[0]) else present
        total = sum(present)
        if total == total:  # noqa: PLR0124 - false for NaN; without one, only a zero needs to be looked at twice
            best = self.choose(present)
            if best:
                return [best]
        best = self.choose(present, key=_rank)
        return [nan if isnan(best) else best]  # there are many NaNs; which one came first must not show


@dataclass(frozen=True, slots=True)
class Last(PartialKind):
    """Keeps the values of the ``n`` newest rows whose value is not null."""

    n: int

    @property
    @override
    def kept(self) -> int:
        return self.n

    @override
    def lift(self, times: Sequence[int], values: Sequence[Any]) -> Any:
        return self._newest([(time, value) for time, value in zip(times, values, strict=True) if value is not None])

    @override
    def merge(self, partials: Sequence[Any]) -> Any:
        ordered = sorted(filter(None, partials), key=itemgetter(0))
        if all(earlier[-2] < later[0] for earlier, later in pairwise(ordered)):  # tiles side by side: nothing to sort
            return list(chain.from_iterable(ordered))[-2 * self.n :]
        return self._newest([pair for partial in ordered for pair in _pairs(partial)])

    def _newest(self, pairs: list[tuple[int, Any]]) -> list[Any]:
        if len(pairs) > 1:
            pairs.sort(key=itemgetter(0))
        return [part for pair in pairs[-self.n :] for part in pair]


def _pairs(flat: Sequence[Any]) -> list[tuple[int, Any]]:
    return list(zip(flat[::2], flat[1::2], strict=True))
