from schemas.aggregation.counts import Count, CountFunction
from schemas.types import String


def test_nulls_are_rows_but_no_values() -> None:
    assert Count().lift([1, 2, 3], ["a", None, "b"]) == 2
    assert Count().lift([1], [None]) == 0
    assert Count().merge([2, 0, 5]) == 7


def test_a_count_of_nothing_may_be_asked_for_as_zero() -> None:
    assert CountFunction().nothing == 0
    assert CountFunction().finish([Count().lift([1], [None])]) == 0
    assert CountFunction().partials(String) == (Count(),)
