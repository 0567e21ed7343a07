import math
from itertools import pairwise, permutations
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.aggregation import exact_sum
from tests.support import oracle
from tests.support.histories import FLOATS, examples

HUGE = 1.7976931348623157e308

CANCELLING = st.lists(st.sampled_from((1e16, -1e16, 0.1, -0.1, 1e-300, 5e-324, HUGE, -HUGE, 1e308, -0.0, 2.0**-1074)))
VALUES = st.one_of(st.lists(FLOATS), CANCELLING, st.lists(st.floats(allow_nan=False, allow_infinity=False)))


def split(values: list[float], cuts: list[int]) -> list[list[float]]:
    bounds = [0, *sorted(min(cut, len(values)) for cut in cuts), len(values)]
    return [values[a:b] for a, b in pairwise(bounds)]


def encoded(partial: exact_sum.Partial) -> bytes:
    return msgspec.msgpack.encode(partial)


@given(VALUES)
@examples(150)
def test_sum_and_mean_are_rounded_once(values: list[float]) -> None:
    partial = exact_sum.lift(values)
    assert oracle.same(exact_sum.finish(partial), oracle.add([0.0, *values]) if values else 0.0)
    if values:
        assert oracle.same(exact_sum.finish_mean(partial, len(values)), oracle.mean(values))


@given(VALUES, st.randoms(use_true_random=False), st.lists(st.integers(0, 30)), st.lists(st.integers(0, 30)))
@examples(150)
def test_partials_are_equal_however_values_are_grouped_and_ordered(
    values: list[float], random: Random, some: list[int], others: list[int]
) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)
    one = exact_sum.merge([exact_sum.lift(part) for part in split(values, some)])
    other = exact_sum.merge([exact_sum.lift(part) for part in split(shuffled, others)])
    assert encoded(one) == encoded(other) == encoded(exact_sum.lift(values))


@given(VALUES, VALUES, VALUES)
@examples(50)
def test_merge_is_associative_and_survives_messagepack(a: list[float], b: list[float], c: list[float]) -> None:
    x, y, z = (msgspec.msgpack.decode(encoded(exact_sum.lift(values))) for values in (a, b, c))
    left = exact_sum.merge((exact_sum.merge((x, y)), z))
    right = exact_sum.merge((x, exact_sum.merge((y, z))))
    assert encoded(left) == encoded(right) == encoded(exact_sum.merge((x, y, z)))


def test_a_sum_beyond_doubles_is_kept_and_comes_back() -> None:
    beyond = exact_sum.lift([HUGE, HUGE])
    assert isinstance(beyond[0], str)
    assert exact_sum.finish(beyond) == math.inf
    assert exact_sum.finish_mean(beyond, 2) == HUGE
    assert exact_sum.merge((beyond, exact_sum.lift([-HUGE]))) == [HUGE]
    assert exact_sum.finish(exact_sum.lift([-HUGE, -HUGE])) == -math.inf


@pytest.mark.parametrize("values", list(permutations((HUGE, HUGE, -HUGE, 1.0))))
def test_overflow_on_the_way_does_not_show(values: tuple[float, ...]) -> None:
    assert exact_sum.lift(values) == [HUGE, 1.0]


def test_infinities_and_nan_add_as_ieee_754_says_and_keep_the_finite_part() -> None:
    assert exact_sum.lift([math.inf, 1.5, 2.0]) == [[0, 1, 0], 3.5]
    assert exact_sum.finish(exact_sum.lift([math.inf, -1.0])) == math.inf
    assert exact_sum.finish(exact_sum.lift([-math.inf])) == -math.inf
    assert math.isnan(exact_sum.finish(exact_sum.lift([math.inf, -math.inf])))
    assert math.isnan(exact_sum.finish_mean(exact_sum.lift([math.nan, 1.0]), 2))
    assert exact_sum.merge(([[0, 1, 0], 3.5], [[1, 0, 2]])) == [[1, 1, 2], 3.5]


def test_zeros_of_either_sign_are_an_exact_zero() -> None:
    for values in ([], [0.0], [-0.0], [-0.0, 0.0], [1.0, -1.0]):
        assert exact_sum.lift(values) == []
    assert exact_sum.finish([]).hex() == (0.0).hex()


def test_subnormals_are_exact() -> None:
    tiny = 5e-324
    assert exact_sum.lift([tiny, tiny, 1.0]) == [1.0, 2 * tiny]
    assert exact_sum.lift([1.0, tiny, -1.0]) == [tiny]


def test_mean_of_several_terms_is_not_rounded_twice() -> None:
    values = [1.0, 2.0**-53, 2.0**-105]
    assert exact_sum.finish_mean(exact_sum.lift(values), 3) == oracle.mean(values)
