from schemas.aggregation.lasts import Last, LastFunction
from schemas.types import Int64
from tests.schemas.aggregation.test_table import finished


def test_last_keeps_the_newest_values_that_are_not_null_oldest_first() -> None:
    assert Last(2).lift([3, 1, 2, 4], ["c", "a", "b", None]) == [2, "b", 3, "c"]
    assert Last(2).merge([[2, "b"], [9, "z"], [1, "a"]]) == [2, "b", 9, "z"]
    assert Last(2).lift([1], [None]) == []


def test_last_n_keeps_its_list_even_of_one() -> None:
    assert finished(LastFunction(n=1), Int64, [5, 7]) == [7]
    assert finished(LastFunction(n=9), Int64, [5, 7]) == [5, 7]
    assert finished(LastFunction(), Int64, [5, 7]) == 7


def test_nothing_but_nulls_is_null() -> None:
    assert [finished(function, Int64, [None]) for function in (LastFunction(), LastFunction(n=3))] == [None, None]


def test_as_many_values_are_kept_as_are_asked_for() -> None:
    assert [kind.kept for n in (None, 1, 7) for kind in LastFunction(n).partials(Int64)] == [1, 1, 7]
