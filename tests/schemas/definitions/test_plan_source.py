from infra.kafka.definitions import DefinitionsLog
from schemas.definitions.plan_source import PlanSource
from tests.support.plans import HeldPlans, plan_of


def test_the_log_of_definitions_is_a_source_of_plans_and_so_is_what_tests_use_for_it() -> None:
    sources: list[PlanSource] = [DefinitionsLog("127.0.0.1:1"), HeldPlans()]
    names = [name for name in vars(PlanSource) if not name.startswith("_")]
    assert sorted(names) == ["failure", "plan", "read_to", "workspaces"]
    # mypy checks the signatures, this that each name is there.
    assert all(hasattr(source, name) for source in sources for name in names)


def test_plans_that_are_held_are_all_that_there_are() -> None:
    held = HeldPlans(plan_of("", workspace="a"), plan_of("", workspace="b"))
    assert (held.workspaces(), held.failure) == (("a", "b"), None)
    found = held.plan("b")
    assert found is not None
    assert (found.workspace, held.plan("c")) == ("b", None)
    held.read_to("b", 9, 1.0)
    assert held.plan("b") is found
