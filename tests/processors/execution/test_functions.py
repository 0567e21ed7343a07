"""The functions that a process has of its plans, while code loads, does not load, and loads again."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from infra.metrics import FAILED_VIEWS
from infra.user_code.trial import Trial, try_code
from processors.execution import functions as view_functions
from processors.execution.functions import PlanFunctions, ViewFunctions
from schemas.definitions.changes import retire
from schemas.definitions.plan import Plan
from tests.support.repositories import HEAD, plan_of, view

SECONDS = 60.0


def planned(files: dict[str, str], number: int = 5) -> Plan:
    """A plan of files, with the views of a repository that loads everywhere."""
    made = plan_of(view("good") + view("bad"), number=number)
    return msgspec.structs.replace(made, files=files, digest=str(sorted(files.items())))


def files_of(bad: str) -> dict[str, str]:
    return {
        "good.py": HEAD + view("good"),
        "bad.py": bad + "\nfrom headrace import *\nfrom good import *\n" + view("bad"),
    }


def played(test: Callable[[ViewFunctions], Awaitable[None]], retry_seconds: float = 1_000.0) -> None:
    async def run() -> None:
        functions = ViewFunctions(retry_seconds)
        try:
            async with asyncio.timeout(SECONDS):
                await test(functions)
        finally:
            await functions.stop()

    asyncio.run(run())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what changes tells nobody
        await asyncio.sleep(0.01)


async def loaded(functions: ViewFunctions, plan: Plan) -> PlanFunctions:
    await functions.loaded(plan)
    made = functions.of(plan)
    assert made is not None
    return made


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The labels of the repositories that were tried."""
    labels: list[str] = []

    async def counted(label: str, files: dict[str, str], *, module_seconds: float) -> Trial:
        labels.append(label)
        return await try_code(label, files, module_seconds=module_seconds)

    monkeypatch.setattr(view_functions, "try_code", counted)
    return labels


def test_a_view_that_does_not_load_is_failed_and_told_and_the_others_run() -> None:
    async def test(functions: ViewFunctions) -> None:
        plan = planned(files_of("import nowhere_at_all"))
        functions.follow([plan])
        assert functions.of(plan) is None
        made = await loaded(functions, plan)
        assert made.functions["good@V1"]({"a": 1}) == {"a": 1}
        assert made.functions.keys() == {"good@V1"}
        assert made.failed.keys() == {"bad@V1"}
        assert "No module named 'nowhere_at_all'" in made.failed["bad@V1"]
        assert functions.of(plan) is made
        await until(lambda: bool(functions.failed()))
        assert functions.failed() == {plan.workspace: made.failed}
        assert FAILED_VIEWS.labels(plan.workspace, "bad@V1")._value.get() == 1  # noqa: SLF001 - no public reader
        functions.follow([])
        assert functions.failed() == {}

    played(test)


def test_what_kills_a_process_never_runs_in_this_one() -> None:
    async def test(functions: ViewFunctions) -> None:
        plan = planned(files_of("import os; os._exit(3)"))
        made = await loaded(functions, plan)
        assert made.functions.keys() == {"good@V1"}
        assert made.failed.keys() == {"bad@V1"}
        assert "exit status 3" in made.failed["bad@V1"]
        assert made.code[0].condemned.keys() == {"bad"}

    played(test)


def test_a_view_that_is_not_defined_here_is_failed() -> None:
    async def test(functions: ViewFunctions) -> None:
        plan = planned({"good.py": HEAD + view("good")})
        made = await loaded(functions, plan)
        assert made.failed == {"bad@V1": "the view does not load here: no module defines it, or two do"}

    played(test)


def test_what_failed_is_tried_again_after_a_while_and_taken_up_when_it_loads(tmp_path: Path) -> None:
    async def test(functions: ViewFunctions) -> None:
        plan = planned(files_of(f"open({str(tmp_path / 'key')!r}).close()"))
        functions.follow([plan])
        before = await loaded(functions, plan)
        assert before.failed.keys() == {"bad@V1"}
        (tmp_path / "key").touch()
        await until(lambda: functions.failed() == {})
        after = functions.of(plan)
        assert after is not None
        assert after.functions.keys() == {"good@V1", "bad@V1"}
        assert after.failed == {}

    played(test, retry_seconds=0.05)


def test_as_long_as_nothing_changes_nothing_is_loaded_anew(trials: list[str]) -> None:
    async def test(functions: ViewFunctions) -> None:
        plan = planned(files_of("1 / 0"))
        functions.follow([plan])
        made = await loaded(functions, plan)
        await until(lambda: len(trials) >= 3)
        assert functions.of(plan) is made

    played(test, retry_seconds=0.01)


def test_a_new_plan_has_what_failed_tried_again_at_once_and_what_loads_not(trials: list[str]) -> None:
    async def test(functions: ViewFunctions) -> None:
        whole, broken = planned(files_of("")), planned(files_of("1 / 0"))
        for plan in (whole, msgspec.structs.replace(whole, number=6)):
            functions.follow([plan])
            assert (await loaded(functions, plan)).failed == {}
        assert trials == ["plan-5"]
        for number in (7, 8):
            plan = msgspec.structs.replace(broken, number=number)
            functions.follow([plan])
            assert (await loaded(functions, plan)).failed.keys() == {"bad@V1"}
        await until(lambda: trials == ["plan-5", "plan-7", "plan-7"])

    played(test)


def test_a_workspace_that_hangs_holds_up_no_other() -> None:
    async def test(functions: ViewFunctions) -> None:
        hanging = planned(files_of("while True: pass"))
        other = msgspec.structs.replace(planned(files_of("")), workspace="other")
        functions.follow([hanging, other])
        assert (await loaded(functions, other)).failed == {}
        assert functions.of(hanging) is None

    played(test)


def test_plans_of_two_workspaces_with_the_same_texts_share_no_modules() -> None:
    async def test(functions: ViewFunctions) -> None:
        plan = planned(files_of(""))
        other = msgspec.structs.replace(plan, workspace="other")
        made = [await loaded(functions, each) for each in (plan, other)]
        assert made[0].functions["good@V1"] is not made[1].functions["good@V1"]

    played(test)


def test_a_retired_view_runs_from_the_texts_that_it_came_from() -> None:
    async def test(functions: ViewFunctions) -> None:
        first = plan_of({"views.py": HEAD + "F = 1\n" + view(body="return F")}, number=1)
        second = retire(first, plan_of({"views.py": HEAD + "F = 2\n" + view("other", body="return F")}, number=2), 60)
        made = await loaded(functions, second)
        assert {key: function({}) for key, function in made.functions.items()} == {"totals@V1": 1, "other@V1": 2}
        assert made.failed == {}
        ended = msgspec.structs.replace(second, retired={}, repositories={})  # another object of the same number
        assert (await loaded(functions, ended)).functions.keys() == {"other@V1"}

    played(test)


def test_a_retired_view_that_loads_no_longer_fails_alone() -> None:
    async def test(functions: ViewFunctions) -> None:
        first = plan_of({"views.py": HEAD + view()}, number=1)
        broken = msgspec.structs.replace(first, files={"views.py": "1 / 0"}, digest="broken")
        second = retire(broken, plan_of({"views.py": HEAD + view("other")}, number=2), 60)
        made = await loaded(functions, second)
        assert made.functions.keys() == {"other@V1"}
        assert made.failed.keys() == {"totals@V1"}

    played(test)


def test_what_no_newest_plan_runs_from_is_forgotten_one_plan_later(trials: list[str]) -> None:
    async def test(functions: ViewFunctions) -> None:
        texts = [files_of(f"x = {number}") for number in range(3)]
        for number in (0, 1, 0, 2, 1, 0):
            plan = planned(texts[number], number)
            functions.follow([plan])
            await loaded(functions, plan)

    played(test)
    assert trials == ["plan-0", "plan-1", "plan-2", "plan-1", "plan-0"]


def test_code_that_loads_in_a_process_of_its_own_and_hangs_here_is_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(_functions: ViewFunctions) -> None:
        functions = ViewFunctions(1_000.0, module_seconds=5.0)
        main = "__import__('sys').modules['__main__'].__spec__.__repr__()"
        plan = planned(
            {"bad.py": HEAD + view("good") + f"\nif 'user_code.child' not in {main}:\n    import time; time.sleep(9)\n"}
        )
        made = await loaded(functions, plan)
        assert "though a process of its own could load it" in made.failed["good@V1"]
        await functions.stop()

    monkeypatch.setattr(view_functions, "HERE_FACTOR", 0.1)
    played(test)
