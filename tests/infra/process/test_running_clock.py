from infra.process.running_clock import RunningClock


def test_time_between_near_looks_counts_in_full_and_a_long_gap_as_one_step() -> None:
    times = iter([100.0, 101.0, 103.0, 3_703.0, 3_704.0])
    clock = RunningClock(2.0, lambda: next(times))
    assert [clock.now() for _ in range(4)] == [1.0, 3.0, 5.0, 6.0]


def test_a_clock_that_is_set_back_takes_nothing_back() -> None:
    times = iter([100.0, 101.0, 50.0, 51.0])
    clock = RunningClock(2.0, lambda: next(times))
    assert [clock.now() for _ in range(3)] == [1.0, 1.0, 2.0]
