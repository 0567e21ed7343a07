import pytest

from bench.figures import AtLeast, AtMost, Figure, percentile


def test_a_figure_is_the_median_of_its_runs() -> None:
    assert Figure("rate", [3.0, 9.0, 4.0], "events/s").value == 4.0


def test_a_target_is_met_at_its_bound() -> None:
    assert Figure("rate", [15_000], "events/s", AtLeast(15_000)).met is True
    assert Figure("p99", [80], "ms", AtMost(80)).met is True


def test_a_target_that_is_missed_says_so() -> None:
    assert Figure("rate", [14_999], "events/s", AtLeast(15_000)).met is False
    assert Figure("p99", [80.1], "ms", AtMost(80)).met is False


def test_a_figure_without_a_target_is_neither_met_nor_missed() -> None:
    assert Figure("rate", [1], "events/s").met is None


@pytest.mark.parametrize(("percent", "expected"), [(50, 50), (99, 99), (100, 100), (0.5, 1)])
def test_percentiles_are_of_nearest_rank(percent: float, expected: float) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == expected
