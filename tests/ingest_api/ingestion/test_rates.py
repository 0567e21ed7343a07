import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_api.ingestion import rates
from ingest_api.ingestion.rates import NO_LIMIT, Rate
from schemas.errors import OverloadedError


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def sends(rate: Rate, name: str, records: int) -> int:
    """Sends a call; returns how many seconds it is told to wait, 0 if it is let in."""
    try:
        rate.check(name)
    except OverloadedError as error:
        return error.retry_after_seconds or -1
    rate.take(name, records)
    return 0


def test_a_call_on_credit_is_let_in_and_the_next_ones_wait_for_it() -> None:
    clock = Clock()
    rate = Rate(10, "Account", clock)
    assert sends(rate, "a", 35) == 0
    assert sends(rate, "a", 1) == 3
    clock.now += 2.4
    with pytest.raises(OverloadedError, match=r"Account 'a' may send 10 records a second, .*; try again in 1 s"):
        rate.check("a")
    clock.now += 0.2
    assert sends(rate, "a", 1) == 0


def test_names_have_buckets_of_their_own() -> None:
    rate = Rate(1, "Source", Clock())
    assert [sends(rate, name, 5) for name in ("a", "b", "a", "b")] == [0, 0, 4, 4]


def test_what_is_refused_costs_nothing_and_no_time_is_saved_up_beyond_a_second() -> None:
    clock = Clock()
    rate = Rate(2, "Source", clock)
    assert sends(rate, "a", 4) == 0
    assert [sends(rate, "a", 100) for _ in range(9)] == [1] * 9
    clock.now += 3_600
    assert [sends(rate, "a", 2) for _ in range(3)] == [0, 1, 1]


def test_without_a_rate_nothing_is_counted() -> None:
    assert [sends(NO_LIMIT, "a", 10**9) for _ in range(3)] == [0, 0, 0]


def test_of_too_many_names_the_first_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "BUCKETS_KEPT", 2)
    rate = Rate(1, "Source", Clock())
    assert [sends(rate, name, 9) for name in ("a", "b", "c")] == [0, 0, 0]
    assert sends(rate, "b", 1) == 8
    assert sends(rate, "a", 1) == 0


@given(
    st.integers(1, 50),
    st.lists(st.tuples(st.floats(0, 3), st.integers(0, 100)), min_size=1, max_size=30),
)
def test_over_any_time_no_more_is_let_in_than_the_rate_allows_and_a_call_besides(
    per_second: int, calls: list[tuple[float, int]]
) -> None:
    clock = Clock()
    rate = Rate(per_second, "Account", clock)
    let_in = [(clock.now, 0)]
    for pause, records in calls:
        clock.now += pause
        if not sends(rate, "a", records):
            let_in.append((clock.now, records))
    for first, (since, _) in enumerate(let_in):
        for last in range(first, len(let_in)):
            before = sum(records for _, records in let_in[first:last])
            seconds = let_in[last][0] - since
            assert before <= per_second * (seconds + 1) + 1e-6
