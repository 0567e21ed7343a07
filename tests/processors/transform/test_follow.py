from collections.abc import Set as AbstractSet
from typing import Any, cast

import msgspec
import pytest

from processors.transform.follow import SourceFollower
from processors.waiting import NotHereError
from schemas.definitions.plan import Plan
from tests.support.flow import SOURCE, plan


class Plans:
    def __init__(self, newest: Plan) -> None:
        self.now = newest

    def newest(self, known: Plan, number: int, waited: AbstractSet[str]) -> Plan:
        assert isinstance(known, Plan)
        if number > self.now.number and not waited:
            raise NotHereError("a plan", cast("Any", None))
        return self.now


class Runner:
    """Makes a plan executable by naming it, as long as its code is here."""

    def __init__(self) -> None:
        self.prepared: list[int] = []
        self.loading = False

    def prepare(self, of: Plan, source: str) -> str:
        assert source == SOURCE
        if self.loading:
            raise NotHereError("its code", cast("Any", None))
        self.prepared.append(of.number)
        return f"plan {of.number}"


def without_source(number: int) -> Plan:
    return msgspec.structs.replace(plan(number), sources={}, views={})


class Following:
    """A follower, and what it says of records that name a plan."""

    def __init__(self, plans: Plans, runner: Runner, first: Plan) -> None:
        self._follower = SourceFollower(cast("Any", plans), cast("Any", runner), first, SOURCE)

    def follow(self, number: int, *waited: str) -> str:
        return str(self._follower.follow(number, set(waited)))


def test_the_newest_plan_runs_from_the_next_records_on() -> None:
    plans, runner = Plans(plan(5)), Runner()
    subject = Following(plans, runner, plan(5))
    assert subject.follow(0) == "plan 5"
    plans.now = plan(6)
    assert subject.follow(0) == "plan 6"


def test_records_wait_for_the_plan_that_they_name_and_for_its_code() -> None:
    plans, runner = Plans(plan(5)), Runner()
    subject = Following(plans, runner, plan(5))
    with pytest.raises(NotHereError, match="a plan"):
        subject.follow(6)
    plans.now, runner.loading = plan(6), True
    with pytest.raises(NotHereError, match="its code"):
        subject.follow(6, "a plan")
    runner.loading = False
    assert subject.follow(6, "a plan") == "plan 6"


def test_records_of_a_source_that_was_removed_run_as_before_and_nothing_is_prepared_anew() -> None:
    plans, runner = Plans(plan(5)), Runner()
    subject = Following(plans, runner, plan(5))
    subject.follow(0)
    plans.now = without_source(6)
    assert subject.follow(0) == "plan 5"
    assert runner.prepared == [5]
    plans.now = plan(7)
    assert subject.follow(0) == "plan 7"


def test_a_source_that_is_removed_before_its_first_record_runs_under_the_plan_that_had_it() -> None:
    subject = Following(Plans(without_source(6)), Runner(), plan(5))
    assert subject.follow(0) == "plan 5"
