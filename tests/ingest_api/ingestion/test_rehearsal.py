"""Dry runs in real child processes; what is decided without one, with a child that a test plays."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from infra.user_code.child import Task
from infra.user_code.process import code_process
from infra.user_code.trial import Trial
from ingest_api.ingestion import rehearsal
from ingest_api.ingestion.publish_and_wait import Batch, BatchOutcome
from ingest_api.ingestion.rehearsal import Rehearsals
from ingest_api.ingestion.sources import Sources
from schemas.definitions.plan import Plan
from schemas.errors import OverloadedError, UnavailableError
from tests.support.plans import plan_of
from tests.support.waiting import wait_until

HEAD = """
from datetime import timedelta
from headrace import *

events = StreamSource(name="events", timestamp_field="at", schema=[
    Field("user", String), Field("amount", Int64), Field("at", Timestamp)])
user = Entity(name="user", join_keys=[Field("user", String)])
"""
NOW = datetime.now(UTC)


def view(name: str, body: str = "return record", options: str = "") -> str:
    return f"""
@stream_feature_view(source=events, entities=[user], version="V1", timestamp_field="at",
    features=[Aggregate("count", "amount", timedelta(hours=1))], {options})
def {name}(record):
    {body}
"""


def plan_with(*views: str, number: int = 7, workspace: str = "prod") -> Plan:
    return plan_of(HEAD + "".join(views), workspace=workspace, number=number, schema_id=7)


def event(amount: int = 1, at: datetime = NOW) -> dict[str, Any]:
    return {"user": "ann", "amount": amount, "at": at.isoformat()}


def batch_of(plan: Plan, *events: Mapping[str, Any]) -> tuple[Sources, list[Batch]]:
    sources = Sources(plan.workspace, plan)
    source = sources.by_name["events"]
    return sources, [Batch(source, {index: source.encode(each) for index, each in enumerate(events)})]


def rehearse(
    test: Callable[[Rehearsals], Awaitable[None]], *, record_seconds: float = 10.0, idle_seconds: float = 60.0
) -> None:
    async def run() -> None:
        rehearsals = Rehearsals(record_seconds, idle_seconds)
        try:
            async with asyncio.timeout(90):
                await test(rehearsals)
        finally:
            await rehearsals.stop()

    asyncio.run(run())


def outcome_of(plan: Plan, *events: Mapping[str, Any], record_seconds: float = 10.0) -> BatchOutcome:
    found: list[BatchOutcome] = []

    async def test(rehearsals: Rehearsals) -> None:
        found.extend(await rehearsals.run(*batch_of(plan, *events)))

    rehearse(test, record_seconds=record_seconds)
    (outcome,) = found
    return outcome


def failures_of(outcome: BatchOutcome) -> dict[str, tuple[str, str] | None]:
    return {view.key: None if why is None else (why.code, why.message) for view, why in outcome.views}


def test_each_view_says_what_would_become_of_its_rows() -> None:
    plan = plan_with(
        view("kept"),
        view("dropping", "return None"),
        view("several", "return [record, {**record, 'at': record['at'] - timedelta(days=60)}]"),
        view("logged", options="online=False"),
    )
    outcome = outcome_of(plan, event(), event(at=NOW + timedelta(hours=1)), event(at=NOW - timedelta(days=60)))
    assert set(failures_of(outcome).values()) == {None}
    assert outcome.became == {
        "dropping@V1": {"dropped": 3},
        "kept@V1": {"rows": 2, "future": 1, "late": 1},
        "logged@V1": {"offline": 3},
        "several@V1": {"rows": 2, "future": 1, "late": 4},
    }


def test_a_function_that_fails_is_told_with_its_line_and_stops_no_other() -> None:
    plan = plan_with(
        view("kept"),
        view("fails", "return 1 / record['amount']"),
        view("fails_once", "return record if record['amount'] else 1 / 0"),
    )
    outcome = outcome_of(plan, event(0), event(1))
    assert failures_of(outcome)["kept@V1"] is None
    code, message = failures_of(outcome)["fails_once@V1"] or ("", "")
    assert (code, message.partition(", in ")[2]) == (
        "FUNCTION_FAILED",
        "fails_once: ZeroDivisionError: division by zero (records 0)",
    )
    assert outcome.became["fails@V1"] == {"failed": 2}
    assert outcome.became["fails_once@V1"] == {"failed": 1, "rows": 1}


@pytest.mark.parametrize(
    ("body", "how"),
    [
        ("import os; os._exit(9)", "ended with exit status 9"),
        ("import time; time.sleep(60)", "did not end within 0.3 s"),
    ],
    ids=["dies", "hangs"],
)
def test_a_function_that_kills_or_hangs_fails_its_record_and_the_next_one_runs(body: str, how: str) -> None:
    plan = plan_with(view("kept"), view("bad", f"if record['amount'] == 0: {body}\n    return record"))
    outcome = outcome_of(plan, event(1), event(0), event(2), record_seconds=0.3)
    for key in ("bad@V1", "kept@V1"):
        assert failures_of(outcome)[key] == ("FUNCTION_FAILED", f"the process that ran this record {how} (records 1)")
        assert outcome.became[key] == {"failed": 1, "rows": 2}


def test_a_view_that_does_not_load_fails_as_it_would_in_a_processor() -> None:
    plan = plan_with(view("kept"))
    files = {"views.py": plan.files["views.py"].replace("stream_feature_view(", "stream_feature_views(")}
    outcome = outcome_of(msgspec.structs.replace(plan, files=files), event())
    code, message = failures_of(outcome)["kept@V1"] or ("", "")
    assert code == "VIEW_FAILED"
    assert message.startswith("the view does not load: plan-7/views.py")
    assert "stream_feature_views" in message


def test_nothing_is_started_for_no_records_or_no_views(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "try_code", None)
    monkeypatch.setattr(rehearsal, "code_process", None)
    assert outcome_of(plan_with(view("kept"))).became == {}
    bare = outcome_of(plan_with(), event())
    assert (bare.views, bare.became, bare.failures) == ([], {}, {})


def children_of(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Counts children of workspaces by label, in place of none."""
    started: list[str] = []

    def counted(task: Task) -> Any:
        started.append(task.code[0].label)
        return code_process(task)

    monkeypatch.setattr(rehearsal, "code_process", counted)
    return started


def test_a_child_is_kept_until_the_plan_is_another_one_or_nobody_needed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    started = children_of(monkeypatch)
    old, new = plan_with(view("kept")), plan_with(view("kept"), view("more"), number=8)

    async def test(rehearsals: Rehearsals) -> None:
        for plan in (old, old, new, new):
            await rehearsals.run(*batch_of(plan, event()))
        assert started == ["plan-7", "plan-8"]
        await asyncio.to_thread(wait_until, lambda: not rehearsals.workspaces)
        await rehearsals.run(*batch_of(new, event()))
        assert started == ["plan-7", "plan-8", "plan-8"]

    rehearse(test, idle_seconds=0.5)


def test_calls_at_once_share_a_child_and_each_gets_its_own_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    started = children_of(monkeypatch)
    plan = plan_with(view("odd", "return record if record['amount'] % 2 else None"))

    async def test(rehearsals: Rehearsals) -> None:
        calls = [rehearsals.run(*batch_of(plan, event(number))) for number in range(8)]
        outcomes = [outcome for (outcome,) in await asyncio.gather(*calls)]
        assert [outcome.became["odd@V1"] for outcome in outcomes] == [{"dropped": 1}, {"rows": 1}] * 4
        assert len(started) == 1

    rehearse(test)


def test_a_call_that_is_given_up_leaves_no_answer_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    started = children_of(monkeypatch)
    plan = plan_with(view("slow", "__import__('time').sleep(record['amount'])\n    return record"))

    async def test(rehearsals: Rehearsals) -> None:
        await rehearsals.run(*batch_of(plan, event(0)))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await rehearsals.run(*batch_of(plan, event(5)))
        (outcome,) = await rehearsals.run(*batch_of(plan, event(0)))
        assert outcome.became["slow@V1"] == {"rows": 1}
        assert len(started) == 2

    rehearse(test)


def test_too_many_that_wait_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "MAX_DRY_RUNS_WAITING", 2)
    plan = plan_with(view("kept"))

    async def test(rehearsals: Rehearsals) -> None:
        calls = [asyncio.ensure_future(rehearsals.run(*batch_of(plan, event()))) for _ in range(3)]
        with pytest.raises(OverloadedError, match="2 dry runs of the workspace wait"):
            await calls[2]
        await asyncio.gather(*calls[:2])

    rehearse(test)


def test_of_too_many_workspaces_the_one_idle_for_longest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "MAX_DRY_RUN_CHILDREN", 2)
    plans = [plan_with(view("kept"), workspace=name) for name in ("a", "b", "c")]
    slow = plan_with(view("slow", "__import__('time').sleep(2)\n    return record"), workspace="a", number=9)

    async def test(rehearsals: Rehearsals) -> None:
        for plan in plans:
            await rehearsals.run(*batch_of(plan, event()))
        assert rehearsals.workspaces == {"b", "c"}
        monkeypatch.setattr(rehearsal, "MAX_DRY_RUN_CHILDREN", 1)
        work = asyncio.ensure_future(rehearsals.run(*batch_of(slow, event())))
        await asyncio.to_thread(wait_until, lambda: rehearsals.workspaces == {"a"})
        with pytest.raises(OverloadedError, match="dry runs of 1 workspaces are in work"):
            await rehearsals.run(*batch_of(plans[1], event()))
        await work

    rehearse(test)


def test_a_system_that_starts_no_process_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    async def loads(*_arguments: Any, **_options: Any) -> Trial:
        return Trial(frozenset({"kept@V1"}), {})

    monkeypatch.setattr(rehearsal, "try_code", loads)
    monkeypatch.setattr("infra.user_code.process.tied_to_parent", lambda _argv: ["/nowhere/at/all"])
    with pytest.raises(UnavailableError, match=r"the views' functions cannot be run now: .* cannot be started"):
        outcome_of(plan_with(view("kept")), event())
