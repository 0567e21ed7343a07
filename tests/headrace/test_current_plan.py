from functools import partial
from typing import ClassVar

import pytest

from headrace import current_plan as module
from headrace.current_plan import READ_SECONDS, current_plan, current_plans
from infra.kafka.listeners import require_listener
from infra.process.ports import free_port
from schemas.definitions.plan import Plan
from schemas.errors import UnavailableError
from tests.support.repositories import plan_of, view

PLAN = plan_of(view())


class Definitions:
    """What was applied to ``prod``, as `DefinitionsLog` tells it; what is called is noted."""

    calls: ClassVar[list[str]] = []
    failure: ClassVar[Exception | None] = None

    def __init__(self, bootstrap: str) -> None:
        self.calls[:] = [bootstrap]

    def start(self) -> None:
        self.calls.append("start")

    def read_to_end(self, seconds: float) -> None:
        self.calls.append(f"read {seconds:g}")
        if self.failure is not None:
            raise self.failure

    def workspaces(self) -> tuple[str, ...]:
        return ("gone", "prod")

    def plan(self, workspace: str) -> Plan | None:
        self.calls.append("plan")
        return PLAN if workspace == "prod" else None

    def stop(self) -> None:
        self.calls.append("stop")


@pytest.fixture(autouse=True)
def definitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DefinitionsLog", Definitions)
    monkeypatch.setattr(module, "require_listener", lambda _bootstrap: None)
    monkeypatch.setattr(Definitions, "failure", None)


def test_the_plan_is_looked_up_only_when_all_was_read() -> None:
    assert current_plan("kafka:9092", "prod") is PLAN
    assert Definitions.calls == ["kafka:9092", "start", f"read {READ_SECONDS:g}", "plan", "stop"]


def test_a_workspace_to_which_nothing_was_applied_has_none() -> None:
    assert current_plan("kafka:9092", "staging") is None


def test_where_kafka_is_away_it_says_so_and_nothing_goes_on_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Definitions, "failure", UnavailableError("the definitions were not read within 20 s"))
    with pytest.raises(UnavailableError, match=r"^the definitions were not read within 20 s$"):
        current_plan("kafka:9092", "prod")
    assert Definitions.calls[-2:] == [f"read {READ_SECONDS:g}", "stop"]


def test_the_plans_of_all_workspaces_are_told_by_name() -> None:
    assert current_plans("kafka:9092") == {"prod": PLAN}
    assert Definitions.calls[-1] == "stop"


def test_where_no_kafka_listens_nothing_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "require_listener", partial(require_listener, patience_seconds=0.1))
    Definitions.calls.clear()
    with pytest.raises(UnavailableError, match="no Kafka listens"):
        current_plan(f"127.0.0.1:{free_port()}", "prod")
    assert Definitions.calls == []
