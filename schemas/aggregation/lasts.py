"""The newest values.

| kind | partial                                                       |
|------|---------------------------------------------------------------|
| last | [time, value, time, value, ...], the n newest, oldest first;  |
|      | of a view with identity columns the times are binary moments  |
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from operator import itemgetter
from typing import Any, ClassVar

from typing_extensions import override

from schemas.aggregation.aggregate import AggregateFunction, Moment, PartialKind
from schemas.errors import DefinitionError
from schemas.limits import MAX_N
from schemas.types import Array, DataType


@dataclass(frozen=True, slots=True)
class Last(PartialKind):
    """Keeps the values of the ``n`` newest rows whose value is not null."""

    n: int

    @property
    @override
    def kept(self) -> int:
        return self.n

    @override
    def lift(self, times: Sequence[Moment], values: Sequence[Any]) -> Any:
        return self._newest([(time, value) for time, value in zip(times, values, strict=True) if value is not None])

    @override
    def merge(self, partials: Sequence[Any]) -> Any:
        ordered = sorted(filter(None, partials), key=itemgetter(0))
        if all(earlier[-2] < later[0] for earlier, later in pairwise(ordered)):  # tiles side by side: nothing to sort
            return list(chain.from_iterable(ordered))[-2 * self.n :]
        return self._newest([pair for partial in ordered for pair in _pairs(partial)])

    def _newest(self, pairs: list[tuple[Any, Any]]) -> list[Any]:
        if len(pairs) > 1:
            pairs.sort(key=itemgetter(0))
        return [part for pair in pairs[-self.n :] for part in pair]


def _pairs(flat: Sequence[Any]) -> list[tuple[Any, Any]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


@dataclass(frozen=True, slots=True)
class LastFunction(AggregateFunction):
    """The newest value, or with ``n`` the n newest, oldest first."""

    accepts: ClassVar[tuple[DataType, ...] | None] = None
    nothing: ClassVar[None] = None

    n: int | None = None

    def __post_init__(self) -> None:
        if self.n is not None and not (type(self.n) is int and 1 <= self.n <= MAX_N):
            raise DefinitionError(f"n={self.n!r} must be 1..{MAX_N}")

    @override
    def text(self) -> str:
        return "last" if self.n is None else f"last_{self.n}"

    @override
    def output(self, column: DataType) -> DataType:
        return column if self.n is None else Array(column)

    @override
    def partials(self, column: DataType) -> tuple[PartialKind, ...]:
        return (Last(self.n or 1),)

    @override
    def finish(self, partials: Sequence[Any]) -> Any:
        """Returns null where every value is null."""
        values = partials[0][1::2]
        if not values:
            return None
        return values[-1] if self.n is None else values
