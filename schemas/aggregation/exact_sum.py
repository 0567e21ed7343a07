"""Sums of floats whose result does not depend on the order of the values.

Invariant: two partials of the same multiset of values are equal, however the values were grouped and ordered.

A partial is a list. Finite values are held as their exact expansion: the correctly rounded sum of all, then the
correctly rounded sum of what that left over, until nothing is left (two or three doubles). What is not finite is
counted apart, and a sum beyond the range of a double is kept as a fraction:

    [d1, d2, ...]                        the plain case; [] is an exact zero
    [[nan, +inf, -inf], d1, ...]         counts of values that are not finite, then the expansion
    ["numerator/denominator"]            the exact sum is beyond the range of a double (may follow the counts)
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import chain
from math import fsum, inf, isfinite, isnan, nan
from typing import cast

Partial = list[object]


def _expansion(values: list[float]) -> list[float]:
    """Returns the exact expansion of finite values; appends to the list it is given.

    Raises:
        ValueError: a value is not finite.
        OverflowError: the sum, or a sum on the way, is beyond the range of a double.
    """
    terms: list[float] = []
    rest = fsum(values)
    if not isfinite(rest):
        raise ValueError
    # ``fsum`` rounds once, at the end, so each term is the correctly rounded rest and two or three take all of it.
    while rest:
        terms.append(rest)
        values.append(-rest)
        rest = fsum(values)
    return terms


def _exact(total: Fraction) -> Partial:
    terms: list[object] = []
    try:
        while total:
            rounded = float(total)
            terms.append(rounded)
            total -= Fraction(rounded)
    except OverflowError:
        return [f"{total.numerator}/{total.denominator}"]
    return terms


def _fractions(parts: Iterable[object]) -> Iterable[Fraction]:
    return (Fraction(cast("str | float", part)) for part in parts)


def _total(parts: list[object]) -> Partial:
    """Adds finite doubles and fraction texts."""
    try:
        return cast("Partial", _expansion(cast("list[float]", [*parts])))
    except (OverflowError, TypeError):
        return _exact(sum(_fractions(parts), Fraction(0)))


def lift(values: Sequence[float]) -> Partial:
    """Returns the partial of some values."""
    try:
        return cast("Partial", _expansion(list(values)))
    except (OverflowError, ValueError):
        return _lift_unusual(values)


def _lift_unusual(values: Sequence[float]) -> Partial:
    finite: list[object] = [value for value in values if isfinite(value)]
    counts = [sum(map(isnan, values)), sum(value == inf for value in values), sum(value == -inf for value in values)]
    total = _total(finite)
    return [counts, *total] if any(counts) else total


def merge(partials: Sequence[Partial]) -> Partial:
    """Returns the partial of everything that went into the given ones."""
    try:
        return cast("Partial", _expansion(list(chain.from_iterable(cast("Sequence[list[float]]", partials)))))
    except (OverflowError, TypeError):  # counts or fractions among them, or too large a sum
        return _merge_unusual(partials)


def _merge_unusual(partials: Iterable[Partial]) -> Partial:
    counts = [0, 0, 0]
    parts: list[object] = []
    for partial in partials:
        if partial and isinstance(partial[0], list):
            counts = [a + b for a, b in zip(counts, partial[0], strict=True)]
            parts += partial[1:]
        else:
            parts += partial
    total = _total(parts)
    return [counts, *total] if any(counts) else total


def finish(partial: Partial) -> float:
    """Returns the sum, correctly rounded; NaN and infinities as IEEE 754 adds them."""
    special = _special(partial)
    if special is not None:
        return special
    if not partial:
        return 0.0
    first = partial[0]
    if isinstance(first, str):
        return inf if Fraction(first) > 0 else -inf
    return cast("float", first)


def finish_mean(partial: Partial, count: int) -> float:
    """Returns the exact sum divided by ``count``, correctly rounded.

    Args:
        partial: of at least one value.
        count: how many values went into it.
    """
    special = _special(partial)
    if special is not None:
        return special
    if len(partial) == 1 and isinstance(partial[0], float):
        return partial[0] / count
    # In whole numbers, which Python divides with one rounding: 7 µs, where Fraction takes 22.
    numerator, denominator = 0, 1
    for part in cast("list[str | float]", partial):
        above, below = (Fraction(part) if isinstance(part, str) else part).as_integer_ratio()
        numerator, denominator = numerator * below + above * denominator, denominator * below
    return numerator / (denominator * count)


def _special(partial: Partial) -> float | None:
    if not partial or not isinstance(partial[0], list):
        return None
    nans, positive, negative = partial[0]
    if nans or (positive and negative):
        return nan
    return inf if positive else -inf
