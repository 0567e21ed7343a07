import asyncio
from typing import Any, cast

import pytest

from processors.consumer.plans import PlanFollower
from processors.waiting import NotHereError
from schemas.definitions.plan import Plan
from tests.support.flow import WORKSPACE, plan


class Definitions:
    """Plans that are here, and those that come when the topic is read."""

    def __init__(self, here: Plan | None, coming: Plan | None = None) -> None:
        self.here = here
        self._coming = coming
        self.read: list[int] = []

    def plan(self, workspace: str) -> Plan | None:
        assert workspace == WORKSPACE
        return self.here

    def read_to(self, workspace: str, number: int, timeout: float) -> None:
        assert workspace == WORKSPACE
        assert timeout > 0
        self.read.append(number)
        self.here = self._coming or self.here


class Owner:
    is_owned = True


def follower(definitions: Definitions) -> PlanFollower:
    return PlanFollower(cast("Any", definitions), Owner(), "prod.updates[1]")


def test_the_newest_plan_is_followed_whatever_messages_name() -> None:
    here = plan(6)
    following = follower(Definitions(here))
    assert [following.newest(plan(5), number, set()) is here for number in (0, 5, 6)] == [True] * 3


def test_a_plan_that_messages_name_is_read_before_they_are_processed() -> None:
    here, coming = plan(5), plan(6)
    definitions = Definitions(here, coming)
    following = follower(definitions)
    with pytest.raises(NotHereError, match=r"plan 6 for prod.updates\[1\]") as missing:
        following.newest(here, 6, set())
    asyncio.run(missing.value.until())
    assert definitions.read == [6]
    assert following.newest(here, 6, set()) is coming


def test_a_plan_that_nobody_published_is_waited_for_once() -> None:
    here = plan(5)
    following = follower(Definitions(here))
    with pytest.raises(NotHereError) as missing:
        following.newest(here, 9, set())
    assert following.newest(here, 9, {missing.value.what}) is here
    with pytest.raises(NotHereError):
        following.newest(here, 8, {missing.value.what})  # another one may be real


def test_a_workspace_that_was_removed_stays_as_it_was_last() -> None:
    known = plan(5)
    assert follower(Definitions(None)).newest(known, 5, set()) is known
