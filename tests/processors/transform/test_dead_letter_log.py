from collections.abc import Mapping

import pytest

from processors.transform import dead_letter_log as module
from processors.transform.dead_letter_log import MORE, ONE, QUIET_SECONDS, DeadLetterLog
from schemas.errors import FUNCTION_FAILED, MALFORMED
from schemas.records.transform import Problem, Reject, SourceRecord


class World:
    """A log of dead letters, its lines, and the time."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.lines: list[tuple[str, dict[str, object]]] = []
        self.log = DeadLetterLog(self.warn, lambda: self.now)

    def warn(self, event: str, fields: Mapping[str, object]) -> None:
        self.lines.append((event, dict(fields)))

    def fail(self, offset: int, code: str = FUNCTION_FAILED, source: str = "events", text: str = "broken") -> None:
        self.log.take("prod", source, [reject(offset, Problem("totals@V1", code, text))])

    def told(self) -> list[tuple[str, object, object, object]]:
        """What each line since the last look tells: one or a sum, of which code, and the offset."""
        told = [(event, fields.get("more"), fields["code"], fields["offset"]) for event, fields in self.lines]
        self.lines.clear()
        return told


def reject(offset: int, *problems: Problem) -> Reject:
    return Reject(SourceRecord(2, offset, 0, b"", None), problems)


@pytest.fixture
def world() -> World:
    return World()


def test_the_first_dead_letter_is_told_at_once_with_where_it_is_and_why(world: World) -> None:
    world.fail(7, text="ValueError: two\nlines")
    assert world.lines == [
        (
            ONE,
            {
                "workspace": "prod",
                "source": "events",
                "code": "FUNCTION_FAILED",
                "view": "totals@V1",
                "partition": 2,
                "offset": 7,
                "problem": "ValueError: two lines",
            },
        )
    ]


def test_further_ones_are_told_as_a_sum_once_a_minute_with_the_last(world: World) -> None:
    for offset in range(5):
        world.fail(offset)
    assert world.told() == [(ONE, None, FUNCTION_FAILED, 0)]
    world.now += QUIET_SECONDS - 0.1
    world.log.tell()
    assert world.told() == []
    world.now += 0.1
    world.log.tell()
    assert world.told() == [(MORE, 4, FUNCTION_FAILED, 4)]
    world.now += QUIET_SECONDS
    world.log.tell()
    assert world.told() == []


def test_a_sum_that_is_due_is_told_by_the_next_dead_letter_too(world: World) -> None:
    world.fail(0)
    world.fail(1)
    world.now += QUIET_SECONDS
    world.fail(2)
    assert world.told() == [(ONE, None, FUNCTION_FAILED, 0), (MORE, 2, FUNCTION_FAILED, 2)]
    world.fail(3)
    assert world.told() == []


def test_one_after_a_quiet_time_is_told_at_once(world: World) -> None:
    world.fail(0)
    world.now += QUIET_SECONDS
    world.fail(1)
    assert world.told() == [(ONE, None, FUNCTION_FAILED, 0), (ONE, None, FUNCTION_FAILED, 1)]


def test_each_source_and_code_has_lines_of_its_own(world: World) -> None:
    for offset in range(2):
        world.fail(offset)
        world.fail(offset, MALFORMED)
        world.fail(offset, source="others")
    assert [line[2:] for line in world.told()] == [(FUNCTION_FAILED, 0), (MALFORMED, 0), (FUNCTION_FAILED, 0)]
    world.now += QUIET_SECONDS
    world.log.tell()
    assert [line[1] for line in world.told()] == [1, 1, 1]


def test_a_record_with_several_problems_counts_once_for_each_code(world: World) -> None:
    both = reject(
        3, Problem("a@V1", MALFORMED, "first"), Problem("b@V1", MALFORMED, "second"), Problem("c@V1", "X", "")
    )
    world.log.take("prod", "events", [both, both])
    assert {fields["view"] for _, fields in world.lines} == {"a@V1", "c@V1"}
    world.told()
    world.now += QUIET_SECONDS
    world.log.tell()
    assert sorted(world.told(), key=str) == [(MORE, 1, MALFORMED, 3), (MORE, 1, "X", 3)]


def test_memory_is_bounded_and_what_is_forgotten_was_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KINDS", 2)
    world.fail(0, "A")
    world.fail(1, "A")
    world.fail(2, "B")
    assert [line[:3] for line in world.told()] == [(ONE, None, "A"), (ONE, None, "B")]
    world.fail(3, "C")
    assert world.told() == [(ONE, None, "C", 3), (MORE, 1, "A", 1)]


def test_without_a_writer_lines_go_to_the_log_of_the_process(capsys: pytest.CaptureFixture[str]) -> None:
    DeadLetterLog().take("prod", "events", [reject(7, Problem("", MALFORMED, "no Avro"))])
    logged = capsys.readouterr()
    assert ONE in logged.out + logged.err
    assert "no Avro" in logged.out + logged.err


def test_sums_that_are_not_due_are_told_at_the_end(world: World) -> None:
    for offset in range(3):
        world.fail(offset)
    world.fail(9, MALFORMED)
    world.told()
    world.log.close()
    world.log.close()
    assert world.told() == [(MORE, 2, FUNCTION_FAILED, 2)]
