import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from infra.user_code.child import Code
from processors.execution import runner as subject
from processors.execution.batch_size import FIRST_RECORDS, STEP_SECONDS
from processors.execution.functions import PlanFunctions
from processors.execution.in_flight import InFlight
from processors.execution.runner import Runner
from processors.waiting import NotHereError
from schemas.definitions.plan import Plan
from schemas.definitions.repository import load_views
from schemas.records.transform import SourceRecord, SourceTransform, Transformation
from tests.support.flow import SOURCE, events, plan

PLAN = plan()


class Functions:
    """Of plans whose code is here, unless ``made`` is None."""

    def __init__(self) -> None:
        self.made: PlanFunctions | None = self.anew()
        self.waited: list[int] = []

    def anew(self) -> PlanFunctions:
        return PlanFunctions(load_views(PLAN.files, "flow", {}).functions(), {}, [Code("flow", PLAN.files, {}, [])])

    def of(self, of: Plan) -> PlanFunctions | None:
        assert isinstance(of, Plan)
        return self.made

    async def loaded(self, of: Plan) -> None:
        self.waited.append(of.number)


def texts(record: SourceRecord) -> Mapping[int, str | None]:
    return {record.offset: "text"}


class Ticking:
    """A clock that goes on between any two looks at it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.step = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def made(path: Path, functions: Functions | None = None, clock: Callable[[], float] | None = None) -> Runner:
    return Runner(
        path,
        "prod.source.events[1]",
        cast("Any", functions or Functions()),
        texts,
        isolation_seconds=3.0,
        clock=clock or Ticking(),
    )


def died(path: Path, first: int, end: int) -> None:
    """Leaves the mark of a process that dies with these offsets in flight."""
    marker = InFlight(path)
    with marker.running(first, end):
        copy = path.read_bytes()
    marker.close()
    path.write_bytes(copy)


def offsets(records: Any) -> list[int]:
    return [record.offset for record in records]


def test_a_plan_is_made_executable_once_and_again_when_its_functions_change(tmp_path: Path) -> None:
    functions = Functions()
    runner = made(tmp_path / "m", functions)
    first = runner.prepare(PLAN, SOURCE)
    assert runner.prepare(PLAN, SOURCE) is first
    assert runner.prepare(plan(6), SOURCE).transform.plan.number == 6
    before = runner.prepare(PLAN, SOURCE)
    functions.made = functions.anew()
    assert runner.prepare(PLAN, SOURCE) is not before
    runner.close()


def test_code_that_is_being_loaded_is_waited_for(tmp_path: Path) -> None:
    functions = Functions()
    functions.made = None
    runner = made(tmp_path / "m", functions)
    with pytest.raises(NotHereError, match="the code of plan 5 for prod") as missing:
        runner.prepare(PLAN, SOURCE)
    asyncio.run(missing.value.until())
    assert functions.waited == [5]
    runner.close()


def test_as_many_records_run_as_their_functions_speed_allows(tmp_path: Path) -> None:
    clock = Ticking()
    runner = made(tmp_path / "m", clock=clock)
    left = events(PLAN, *[1.0] * 200)
    assert offsets(runner.take(left)) == list(range(FIRST_RECORDS))
    executable = runner.prepare(PLAN, SOURCE)
    clock.step = STEP_SECONDS
    outcome = runner.run(executable, left[:100], {})
    assert outcome.rows == 200
    assert len(runner.take(left)) == 100
    runner.close()


def test_the_mark_covers_what_runs_while_it_runs_and_stays_at_an_end_nobody_thought_of(tmp_path: Path) -> None:
    runner = made(tmp_path / "m")
    executable = runner.prepare(PLAN, SOURCE)
    runner.run(executable, events(PLAN, 1.0, 2.0), {})

    def ends(*_args: object) -> Transformation:
        raise SystemError("the interpreter is broken")

    broken = subject.Executable(cast("SourceTransform", ends), executable.functions)
    with pytest.raises(SystemError):
        runner.run(broken, events(PLAN, *[1.0] * 9)[4:6], {})
    runner.close()
    next_one = made(tmp_path / "m")
    assert offsets(next_one.take(events(PLAN, *[1.0] * 9))) == [0, 1, 2, 3]
    assert offsets(next_one.take(events(PLAN, *[1.0] * 9)[4:])) == [4]
    next_one.close()


def test_a_record_that_was_alone_at_a_death_runs_in_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone: list[tuple[Any, ...]] = []

    async def isolated(*args: Any, time_limit: float) -> Transformation:
        alone.append((*args, time_limit))
        return Transformation(rows=41)

    monkeypatch.setattr(subject, "transform_isolated", isolated)
    died(tmp_path / "m", 1, 2)
    runner = made(tmp_path / "m")
    left = events(PLAN, 1.0, 2.0, 3.0)
    executable = runner.prepare(PLAN, SOURCE)
    assert offsets(runner.take(left)) == [0]
    killer = runner.take(left[1:])
    assert offsets(killer) == [1]
    with pytest.raises(NotHereError, match=r"the record at offset 1 of prod.*, which runs alone") as missing:
        runner.run(executable, killer, {})
    asyncio.run(missing.value.until())
    assert alone == [(executable.transform, executable.functions.code, left[1], {1: "text"}, 3.0)]
    assert runner.run(executable, killer, {}).rows == 41
    with pytest.raises(NotHereError):  # read again, it runs alone again
        runner.run(executable, killer, {})
    assert runner.run(executable, runner.take(left[2:]), {}).rows == 2
    runner.close()
