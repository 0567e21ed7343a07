from typing import Final

import msgspec
import pytest

from schemas.instants import HOUR, MILLISECOND, SECOND
from schemas.records.lateness import CLOCKS_DIFFER, is_future, is_late
from tests.support.repositories import plan_of, view

VIEW: Final = msgspec.structs.replace(plan_of(view()).views["totals@V1"], horizon=HOUR)
APPENDED: Final = 1_700_000_000_000
AT: Final = APPENDED * MILLISECOND


@pytest.mark.parametrize(("event_time", "late"), [(AT - HOUR, False), (AT - HOUR - 1, True), (AT + HOUR, False)])
def test_what_is_older_than_the_horizon_is_late(event_time: int, late: bool) -> None:
    assert is_late(VIEW, event_time, APPENDED) is late


@pytest.mark.parametrize("changes", [{"horizon": None}, {"online": False}])
def test_nothing_is_late_without_a_horizon_or_online_state(changes: dict[str, object]) -> None:
    assert not is_late(msgspec.structs.replace(VIEW, **changes), 0, APPENDED)


def test_what_is_ahead_by_more_than_clocks_differ_is_of_the_future() -> None:
    assert CLOCKS_DIFFER == SECOND
    assert not is_future(VIEW, AT + CLOCKS_DIFFER, APPENDED)
    assert is_future(VIEW, AT + CLOCKS_DIFFER + 1, APPENDED)
    assert not is_future(msgspec.structs.replace(VIEW, online=False), AT + HOUR, APPENDED)
