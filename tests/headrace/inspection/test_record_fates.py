from collections.abc import Mapping

import pytest

from headrace.inspection import record_fates as module
from headrace.inspection.dead_letters import DeadLetter, ViewProblem
from headrace.inspection.newest import StoredRecord
from headrace.inspection.record_fates import (
    HISTORY_SECONDS,
    PATIENCE_SECONDS,
    Fate,
    Kind,
    RecordFates,
    ShownView,
)
from schemas.definitions.plan import ViewPlan
from schemas.instants import MILLISECOND
from schemas.messages.updates import MESSAGE_FORMAT, Row, Update
from schemas.records.lateness import CLOCKS_DIFFER
from tests.support.repositories import plan_of, view

PLAN = plan_of(view("a") + view("b"))
A, B = PLAN.views["a@V1"], PLAN.views["b@V1"]
VIEWS = [ShownView(A, 0), ShownView(B, 0)]
UPDATES, LETTERS = ("prod.updates", 0), ("prod.dead-letter.events", 0)
NOW = 1_763_000_000_000
"""When Kafka took all records of these tests, in ms."""

IN_TIME = NOW * MILLISECOND - 1_000
LATE = NOW * MILLISECOND - (A.horizon or 0) - 1
FUTURE = NOW * MILLISECOND + CLOCKS_DIFFER + 1


class World:
    """Partition 2 of a source, and what is said of its records, which begin at offset 10."""

    def __init__(self, published: int = 0) -> None:
        self.fates = RecordFates({2: 10})
        self.views = [ShownView(A, published), ShownView(B, published)]
        self.now = 0.0
        self.end = 0

    def record(self, offset: int) -> None:
        self.fates.take_record(StoredRecord(2, offset, NOW, b"", {}), self.views, self.now)

    def rows(self, view: ViewPlan, offset: int, *times: int, first: int = 0) -> None:
        rows = [Row(b"", at, NOW, offset, index, []) for index, at in enumerate(times, first)]
        self.fates.take_update(Update(MESSAGE_FORMAT, 1, view.id, 2, rows, []))
        self.end += 1

    def letter(self, offset: int, *problems: ViewProblem) -> None:
        self.fates.take_dead_letter(DeadLetter(0, 2, offset, NOW, problems, b""))

    def passed(self, offset: int) -> None:
        """Has the processors pass all before an offset, and everything read that they wrote."""
        self.fates.told({2: offset}, {UPDATES: self.end, LETTERS: 0})
        self.fates.read_to(UPDATES, self.end)

    def due(self) -> list[tuple[int, dict[str, str], bool]]:
        return [(each.record.offset, words(each.fates), each.is_again) for each in self.fates.due(self.now)]


def words(fates: Mapping[str, Fate]) -> dict[str, str]:
    return {key: str(fate) for key, fate in fates.items()}


@pytest.fixture
def world() -> World:
    return World()


def test_rows_are_counted_over_messages_each_once(world: World) -> None:
    world.record(10)
    world.rows(A, 10, IN_TIME)
    world.rows(B, 10, IN_TIME, IN_TIME)
    world.rows(B, 10, IN_TIME, first=2)  # of another updates partition
    world.rows(B, 10, IN_TIME)  # sent again after a crash
    world.passed(11)
    assert world.due() == [(10, {"a@V1": "1 row", "b@V1": "3 rows"}, False)]
    assert not world.fates.is_waiting


def test_what_was_written_before_the_record_was_read_counts(world: World) -> None:
    world.rows(A, 10, IN_TIME)
    world.letter(10, ViewProblem("b@V1", "FUNCTION_FAILED", "broken"))
    world.record(10)
    world.passed(11)
    assert world.due() == [(10, {"a@V1": "1 row", "b@V1": "FUNCTION_FAILED: broken"}, False)]


def test_late_and_future_rows_are_told(world: World) -> None:
    world.record(10)
    world.record(11)
    world.rows(A, 10, LATE)
    world.rows(B, 10, LATE + 1, FUTURE - 1)
    world.rows(A, 11, LATE, IN_TIME, FUTURE)
    world.rows(B, 11, LATE, LATE)
    world.passed(12)
    assert [told for _, told, _ in world.due()] == [
        {"a@V1": "late", "b@V1": "2 rows"},
        {"a@V1": "3 rows, 1 late, 1 in the future", "b@V1": "2 rows, 2 late"},
    ]


def test_a_view_that_keeps_nothing_online_has_no_late_or_future_rows(world: World) -> None:
    plan = plan_of(view("a", ', features=[Aggregate("sum", "x", hour)], online=False')).views["a@V1"]
    world.views = [ShownView(plan, 0)]
    world.record(10)
    world.rows(plan, 10, LATE, FUTURE)
    world.passed(11)
    assert world.due() == [(10, {"a@V1": "2 rows"}, False)]


def test_a_record_that_no_view_could_see_failed_for_all(world: World) -> None:
    world.record(10)
    world.letter(10, ViewProblem("", "MALFORMED", "no Avro"))
    assert world.due() == [(10, dict.fromkeys(("a@V1", "b@V1"), "MALFORMED: no Avro"), False)]


def test_a_view_without_rows_dropped_the_record_only_once_all_was_read(world: World) -> None:
    world.record(10)
    world.fates.told({2: 11}, {UPDATES: 5, LETTERS: 0})
    assert world.fates.is_asking
    world.fates.read_to(UPDATES, 4)
    assert (world.due(), world.fates.is_asking) == ([], True)
    world.fates.read_to(UPDATES, 5)
    assert world.due() == [(10, {"a@V1": "dropped", "b@V1": "dropped"}, False)]
    assert not world.fates.is_asking


def test_a_record_of_before_the_view_was_not_dropped() -> None:
    world = World(published=NOW + 1)
    world.record(10)
    world.passed(11)
    assert world.due() == [(10, dict.fromkeys(("a@V1", "b@V1"), "before the view"), False)]


def test_what_is_not_passed_is_shown_as_pending_after_a_while_and_again_when_it_is(world: World) -> None:
    world.passed(10)
    world.record(10)
    assert world.due() == []
    world.now += PATIENCE_SECONDS
    assert world.due() == [(10, {"a@V1": "pending", "b@V1": "pending"}, False)]
    assert world.due() == []
    world.rows(A, 10, IN_TIME)
    world.passed(11)
    assert world.due() == [(10, {"a@V1": "1 row", "b@V1": "dropped"}, True)]
    assert world.due() == []


def test_what_turns_out_to_be_as_it_was_shown_is_not_shown_again(world: World) -> None:
    world.passed(10)
    world.record(10)
    world.rows(A, 10, IN_TIME)
    world.rows(B, 10, IN_TIME)
    world.now += PATIENCE_SECONDS
    assert world.due() == [(10, {"a@V1": "1 row", "b@V1": "1 row"}, False)]
    world.passed(11)
    assert (world.due(), world.fates.is_waiting) == ([], False)


def test_records_are_first_shown_in_the_order_of_coming(world: World) -> None:
    world.passed(10)
    world.record(10)
    world.now += PATIENCE_SECONDS / 2
    world.record(11)
    world.letter(11, ViewProblem("", "MALFORMED", "no Avro"))
    assert world.due() == []
    world.now += PATIENCE_SECONDS / 2
    assert [offset for offset, _, _ in world.due()] == [10, 11]


def test_until_what_was_there_at_first_is_read_records_wait_for_longer(world: World) -> None:
    world.record(10)
    world.fates.told({2: 11}, {UPDATES: 5})
    world.now += HISTORY_SECONDS - 0.1
    assert (world.due(), world.fates.has_settled) == ([], False)
    assert [words(each.fates) for each in world.fates.rest()] == [{"a@V1": "not known", "b@V1": "not known"}]
    world.now += 0.1
    assert [offset for offset, _, _ in world.due()] == [10]
    assert list(world.fates.rest()) == []


def test_older_records_that_were_not_asked_for_are_not_kept(world: World) -> None:
    world.rows(A, 3, IN_TIME)
    world.record(4)
    world.rows(A, 4, IN_TIME)
    world.letter(3, ViewProblem("", "MALFORMED", ""))
    world.passed(5)
    assert [told["a@V1"] for _, told, _ in world.due()] == ["1 row"]
    assert not world.fates.is_waiting


def test_memory_is_bounded_and_what_was_forgotten_is_not_said_to_be_dropped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_OPEN", 2)
    for offset in (10, 11, 12):
        world.rows(A, offset, IN_TIME)
    world.record(10)
    world.record(12)
    world.passed(13)
    assert world.due() == [
        (10, {"a@V1": "not known", "b@V1": "not known"}, False),
        (12, {"a@V1": "1 row", "b@V1": "dropped"}, False),
    ]
    for offset in (20, 21, 22):
        world.record(offset)
    assert [(offset, told["a@V1"]) for offset, told, _ in world.due()] == [(20, "pending")]


def test_a_fate_is_a_sentence_of_its_own() -> None:
    assert str(Fate(Kind.ROWS, 1)) == "1 row"
    assert str(Fate(Kind.ROWS, 1, future=1)) == "1 row, in the future"
    assert str(Fate(Kind.DEAD_LETTER, code="X", text="broken")) == "X: broken"
    assert str(Fate(Kind.PENDING)) == "pending"
