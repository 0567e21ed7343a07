import pytest

from schemas.aggregation.aggregate import AggregateFunction
from schemas.aggregation.sums import IntSum, MeanFunction, SumFunction, is_out_of_range
from schemas.state.values import decode, encode
from schemas.types import DataType, Float64, Int64
from tests.schemas.aggregation.test_table import finished

FUNCTIONS = (SumFunction(), MeanFunction())


def test_a_sum_of_integers_beyond_64_bits_is_text_and_comes_back() -> None:
    top = 2**63 - 1
    beyond = IntSum().lift([1, 2], [top, top])
    assert beyond == str(2 * top)
    assert IntSum().merge([beyond, -top]) == top
    assert IntSum().lift([1], [None]) == 0


@pytest.mark.parametrize(("column", "zero"), [(Int64, 0), (Float64, 0.0)])
def test_a_sum_of_nothing_but_zeros_is_zero_and_not_missing(column: DataType, zero: float) -> None:
    assert [finished(function, column, [zero, zero]) for function in FUNCTIONS] == [zero, zero]


@pytest.mark.parametrize("function", FUNCTIONS, ids=repr)
@pytest.mark.parametrize("column", [Int64, Float64])
def test_nothing_but_nulls_is_null(function: AggregateFunction, column: DataType) -> None:
    assert finished(function, column, [None, None]) is None


@pytest.mark.parametrize("values", [[2**63 - 1, 1], [-(2**63), -1], [2**63 - 1] * 5])
def test_a_sum_that_does_not_fit_in_64_bits_is_null(values: list[int]) -> None:
    assert finished(SumFunction(), Int64, values) is None
    partials = [kind.lift(range(len(values)), values) for kind in SumFunction().partials(Int64)]
    assert is_out_of_range(partials)
    assert decode(encode(partials)) == partials  # as a tile has them


def test_null_of_nothing_but_nulls_is_not_out_of_range() -> None:
    assert not is_out_of_range([kind.lift([1], [None]) for kind in SumFunction().partials(Int64)])


def test_a_sum_comes_back_into_range_with_the_events_that_bring_it_there() -> None:
    count, total = SumFunction().partials(Int64)
    beyond = [kind.lift([1, 2], [2**63 - 1, 9]) for kind in (count, total)]
    back = [kind.lift([3], [-10]) for kind in (count, total)]
    merged = [kind.merge(pair) for kind, pair in zip((count, total), zip(beyond, back, strict=True), strict=True)]
    assert SumFunction().finish(merged) == 2**63 - 2
