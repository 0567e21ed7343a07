from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_api.ingestion.pending import Answer, Failure, PendingRequests
from schemas.errors import UNAVAILABLE, OverloadedError
from schemas.messages.updates import Ack, Transformed, Written

REQUEST = b"r1"
DEADLINE = 10.0


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def book_of(*records: Sequence[int], clock: Clock | None = None) -> PendingRequests:
    book = PendingRequests(clock or Clock(), DEADLINE)
    book.open(REQUEST, records)
    return book


def transformed(*sent: tuple[int, int], index: int = 0, failures: Sequence[tuple[int, str, str]] = ()) -> Transformed:
    return Transformed(REQUEST, index, [(view, partition, 1) for view, partition in sent], list(failures))


def written(view: int, partition: int = 0, index: int = 0, store: str = "", message: str = "") -> Written:
    return Written(REQUEST, index, view, partition, 1, store, message)


def only(answers: list[Answer]) -> list[dict[int, Failure | None]]:
    assert len(answers) == 1
    assert all(outcome.failure is None for outcome in answers[0].outcomes)
    return [dict(outcome.views) for outcome in answers[0].outcomes]


def test_record_is_done_when_every_place_it_was_sent_to_has_answered() -> None:
    book = book_of([1, 2])
    assert book.take([transformed((1, 0), (1, 3), (2, 0))]) == []
    assert book.take([written(1, 0), written(2, 0)]) == []
    assert only(book.take([written(1, 3)])) == [{1: None, 2: None}]
    assert len(book) == 0


def test_places_may_answer_before_transform_says_that_they_owe() -> None:
    book = book_of([1])
    assert book.take([written(1)]) == []
    assert only(book.take([transformed((1, 0))])) == [{1: None}]


def test_view_that_dropped_the_record_succeeded() -> None:
    assert only(book_of([1]).take([transformed()])) == [{1: None}]


def test_failed_function_fails_its_view_alone() -> None:
    answers = book_of([1, 2]).take([transformed((2, 0), failures=[(1, "CODE", "ValueError: no")]), written(2)])
    assert only(answers) == [{1: Failure("CODE", "ValueError: no"), 2: None}]


def test_failed_store_fails_the_view_and_is_retryable() -> None:
    answers = book_of([1]).take([transformed((1, 0), (1, 1)), written(1, 0), written(1, 1, 0, "online", "disk full")])
    assert only(answers) == [{1: Failure("WRITE_ERROR", "disk full", "online", retryable=True)}]


def test_request_waits_for_all_its_records() -> None:
    book = book_of([1], [1])
    assert book.take([transformed((1, 0), index=1), written(1, index=1)]) == []
    assert only(book.take([transformed()])) == [{1: None}, {1: None}]


def test_first_answer_of_a_place_counts() -> None:
    book = book_of([1, 2])
    book.take([transformed((1, 0), (2, 0)), written(1, store="online", message="first"), written(1)])
    assert only(book.take([written(2)]))[0][1] == Failure("WRITE_ERROR", "first", "online", retryable=True)


def test_what_transform_said_first_counts() -> None:
    book = book_of([1])
    again = transformed((1, 0), (1, 5), failures=[(1, "CODE", "under a newer plan")])
    assert book.take([transformed((1, 0)), again]) == []
    assert only(book.take([written(1, 0)])) == [{1: None}]


def test_answers_for_others_for_unknown_records_and_for_views_of_a_later_plan_change_nothing() -> None:
    book = book_of([1])
    assert book.take([Transformed(b"other", 0, [], []), Written(b"other", 0, 1, 0, 1)]) == []
    assert book.take([transformed(index=5), written(9)]) == []
    assert book.take([transformed((1, 0), (9, 0), failures=[(8, "CODE", "x")])]) == []
    assert only(book.take([written(1)])) == [{1: None}]


def test_answers_after_the_end_change_nothing() -> None:
    book = book_of([1])
    book.take([transformed()])
    assert book.take([transformed(), written(1)]) == []
    assert book.lose(REQUEST, 0, "late") == []


def test_record_without_views_is_done_once_kafka_has_it() -> None:
    assert only(book_of([]).confirm(REQUEST, 0)) == [{}]


def test_record_with_views_is_not_done_by_being_in_kafka() -> None:
    assert book_of([1]).confirm(REQUEST, 0) == []


def test_record_that_kafka_did_not_take_failed_as_a_whole() -> None:
    book = book_of([1], [1])
    assert book.take([transformed(index=1)]) == []
    (answer,) = book.lose(REQUEST, 0, "gone")
    assert [outcome.failure for outcome in answer.outcomes] == [Failure(UNAVAILABLE, "gone", retryable=True), None]


def test_at_the_deadline_what_is_missing_is_unavailable_and_the_rest_is_kept() -> None:
    clock = Clock()
    book = book_of([1, 2, 3], [1], [], clock=clock)
    book.take([transformed((1, 0), (2, 0), (2, 1), failures=[(3, "CODE", "bad")]), written(1), written(2)])
    book.take([written(1, index=1, store="offline", message="slow")])
    clock.now += DEADLINE - 0.001
    assert book.expire() == []
    clock.now += 0.001
    (answer,) = book.expire()
    first, second, third = answer.outcomes
    codes = {view: failure and failure.code for view, failure in first.views.items()}
    assert codes == {1: None, 2: UNAVAILABLE, 3: "CODE"}
    assert second.views == {1: Failure("WRITE_ERROR", "slow", "offline", retryable=True)}
    assert third.failure is not None
    assert third.failure.code == UNAVAILABLE
    assert len(book) == 0


def test_next_deadline_is_that_of_the_request_that_waits_longest() -> None:
    clock = Clock()
    book = book_of([1], clock=clock)
    clock.now += 1
    book.open(b"r2", [[1]])
    assert book.next_deadline == 110.0
    book.forget(REQUEST)
    assert book.next_deadline == 111.0
    book.forget(b"r2")
    book.forget(b"r2")
    assert book.next_deadline is None


def test_requests_that_wait_are_bounded() -> None:
    book = PendingRequests(Clock(), DEADLINE, max_requests=2)
    book.open(b"a", [[1]])
    book.open(b"b", [[1]])
    with pytest.raises(OverloadedError):
        book.open(b"c", [[1]])
    book.forget(b"a")
    book.open(b"c", [[1]])


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[list[int]], list[Ack]]:
    """What each record is for, and all that processors have to say to them, in order."""
    records = draw(st.lists(st.lists(st.integers(1, 3), max_size=3, unique=True), min_size=1, max_size=3))
    acks: list[Ack] = []
    for index, views in enumerate(records):
        sent, failures = [], []
        for view in views:
            match draw(st.sampled_from(["stored", "dropped", "function", "store"])):
                case "function":
                    failures.append((view, draw(st.sampled_from(["ONE", "OTHER"])), f"bad {view}"))
                case "stored":
                    for partition in draw(st.sets(st.integers(0, 2), min_size=1)):
                        sent.append((view, partition))
                        acks.append(written(view, partition, index))
                case "store":
                    sent.append((view, 0))
                    acks.append(written(view, 0, index, "online", "full"))
                case _:
                    pass
        acks.append(transformed(*sent, index=index, failures=failures))
    return records, acks


def expected(records: list[list[int]], acks: list[Ack]) -> list[dict[int, str | None]]:
    """The plainest reading of the history."""
    codes: list[dict[int, str | None]] = [dict.fromkeys(sorted(views)) for views in records]
    for ack in acks:
        if isinstance(ack, Written) and ack.store:
            codes[ack.index][ack.view] = "WRITE_ERROR"
        if isinstance(ack, Transformed):
            codes[ack.index] |= {view: code for view, code, _ in ack.failures}
    return codes


def codes_of(answer: Answer) -> list[dict[int, str | None]]:
    return [
        {view: None if failure is None else failure.code for view, failure in each.views.items()}
        for each in answer.outcomes
    ]


@given(histories(), st.data())
def test_any_order_and_repeats_give_the_same_answer_once(
    history: tuple[list[list[int]], list[Ack]], data: st.DataObject
) -> None:
    records, acks = history
    told = data.draw(st.permutations(acks))
    repeats = data.draw(st.lists(st.sampled_from(acks), max_size=4))
    mixed = [*told, *repeats]
    for repeat in repeats:
        mixed.insert(data.draw(st.integers(0, len(mixed))), repeat)
    book = book_of(*records)
    answers = [answer for ack in mixed for answer in book.take([ack])]
    assert [codes_of(answer) for answer in answers] == [expected(records, acks)]
    assert len(book) == 0


@given(histories(), st.data())
def test_losses_never_turn_into_success(history: tuple[list[list[int]], list[Ack]], data: st.DataObject) -> None:
    records, acks = history
    kept = [ack for ack in acks if data.draw(st.booleans())]
    clock = Clock()
    book = book_of(*records, clock=clock)
    answers = book.take(kept)
    clock.now += DEADLINE
    (answer,) = answers + book.expire()
    for views, told, outcome in zip(expected(records, acks), codes_of(answer), answer.outcomes, strict=True):
        assert told.keys() == views.keys() or outcome.failure is not None
        for view, code in told.items():
            assert code in (views[view], UNAVAILABLE)


@given(st.lists(st.floats(0, 5), min_size=1, max_size=8))
def test_requests_expire_in_the_order_of_their_deadlines(pauses: list[float]) -> None:
    clock = Clock()
    book = PendingRequests(clock, DEADLINE)
    for number, pause in enumerate(pauses):
        clock.now += pause
        book.open(bytes([number]), [[1]])
    seen: list[bytes] = []
    while (deadline := book.next_deadline) is not None:
        clock.now = deadline
        seen += [answer.request for answer in book.expire()]
    assert seen == [bytes([number]) for number in range(len(pauses))]
    assert all(first < second for first, second in pairwise(seen))


def became(*answers: Ack) -> dict[int, dict[str, int]]:
    (outcome,) = book_of([1, 2]).take(answers)[0].outcomes
    return {view: dict(counts) for view, counts in outcome.became.items()}


def counted(view: int, partition: int = 0, **counts: int) -> Written:
    return Written(REQUEST, 0, view, partition, 1, became=counts)


def test_what_became_of_rows_is_added_up_over_partitions() -> None:
    told = became(
        transformed((1, 0), (1, 3), (2, 0)), counted(1, 0, new=1, future=1), counted(1, 3, new=2), counted(2, late=1)
    )
    assert told == {1: {"new": 3, "future": 1}, 2: {"late": 1}}


def test_a_view_that_dropped_the_record_is_told_so() -> None:
    assert became(transformed((2, 0)), counted(2, equal=1)) == {1: {"dropped": 1}, 2: {"equal": 1}}


def test_of_a_view_that_failed_and_of_rows_that_are_untold_nothing_is_said() -> None:
    assert became(transformed((2, 0), failures=[(1, "CODE", "no")]), counted(2)) == {}
    assert became(transformed((1, 0), (1, 1)), counted(1, 0, new=1), counted(1, 1)) == {2: {"dropped": 1}}
