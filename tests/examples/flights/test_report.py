import pytest

from examples.flights.report import percentile


@pytest.mark.parametrize(("percent", "value"), [(50, 50.0), (95, 95.0), (99, 99.0), (100, 100.0)])
def test_a_percentile_is_the_least_value_that_so_many_percent_do_not_exceed(percent: int, value: float) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], percent) == value


def test_of_few_values_it_is_one_of_them() -> None:
    assert percentile([3.0], 50) == 3.0
    assert percentile([1.0, 2.0], 99) == 2.0
