from collections import Counter

from examples.flights.load import ACKNOWLEDGED, DELIVERED, Sent


def sent(**outcomes: int) -> Sent:
    return Sent(outcomes=Counter({name.replace("_", " "): count for name, count in outcomes.items()}))


def test_all_is_well_when_each_flight_was_taken_once() -> None:
    done = sent(**{ACKNOWLEDGED: 5, DELIVERED: 4})
    assert done.taken == 9
    assert done.problems(9) == []


def test_what_was_not_taken_is_a_problem() -> None:
    done = sent(**{ACKNOWLEDGED: 5, DELIVERED: 2, "WRITE ERROR": 1})
    assert done.problems(10) == ["1 flights: WRITE ERROR", "2 flights without an outcome"]
