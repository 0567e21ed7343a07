import msgspec
import pytest

from schemas.errors import NotFoundError, UnavailableError
from schemas.types import Int64
from serving.reads.read_plan import ReadPlan
from serving.reads.service import Services
from tests.serving.world import FakeDefinitions, plan_of, service_text, view_text

FIRST = view_text("a", "") + service_text("s", "a_V1")
SECOND = FIRST + service_text("t", "a_V1")


def services_of(definitions: FakeDefinitions) -> Services[ReadPlan]:
    services = Services(definitions, lambda plan: plan)
    services.refresh()
    services.complete = True
    return services


def test_a_new_plan_is_in_force_after_a_refresh() -> None:
    definitions = FakeDefinitions(plan_of(FIRST))
    services = services_of(definitions)
    before = services.find("prod", "s")
    definitions.plans["prod"] = plan_of(SECOND, number=11)
    services.refresh()

    assert services.find("prod", "t").service == "t"
    assert services.find("prod", "s") is not before


def test_a_plan_that_did_not_change_is_not_compiled_again() -> None:
    definitions = FakeDefinitions(plan_of(FIRST))
    services = services_of(definitions)
    before = services.find("prod", "s")
    definitions.plans["dev"] = plan_of(FIRST, workspace="dev")
    services.refresh()

    assert services.find("prod", "s") is before
    assert services.find("dev", "s").workspace == "dev"


def test_a_workspace_that_is_gone_is_forgotten() -> None:
    definitions = FakeDefinitions(plan_of(FIRST))
    services = services_of(definitions)
    definitions.plans.clear()
    services.refresh()

    with pytest.raises(NotFoundError, match="no such workspace"):
        services.find("prod", "s")
    assert services.plan("prod") is None


def test_what_does_not_exist_is_named_with_what_does() -> None:
    services = services_of(FakeDefinitions(plan_of(SECOND)))

    with pytest.raises(NotFoundError, match=r"FeatureService x for workspace prod: .* known are: s, t"):
        services.find("prod", "x")


def test_a_service_that_is_switched_off_is_not_served() -> None:
    off = view_text("a", "") + service_text("s", "a_V1", options=", online_serving_enabled=False")

    with pytest.raises(NotFoundError, match="online_serving_enabled=False"):
        services_of(FakeDefinitions(plan_of(off))).find("prod", "s")


def test_before_definitions_are_complete_what_is_missing_may_yet_come() -> None:
    services = services_of(FakeDefinitions(plan_of(FIRST)))
    services.complete = False

    assert services.find("prod", "s").service == "s"
    with pytest.raises(UnavailableError, match="not been read to their end"):
        services.find("prod", "t")


def test_a_service_that_does_not_compile_leaves_the_others_alone() -> None:
    plan = plan_of(SECOND + view_text("b", "") + service_text("u", "b_V1"))
    broken = msgspec.structs.replace(plan.services["s"], views=("a@V9",))
    clash = msgspec.structs.replace(plan.views["b@V1"].columns[0], dtype=Int64)
    view = msgspec.structs.replace(plan.views["b@V1"], columns=(clash, *plan.views["b@V1"].columns[1:]))
    both = msgspec.structs.replace(plan.services["u"], views=("a@V1", "b@V1"))
    plan = msgspec.structs.replace(
        plan, services=plan.services | {"s": broken, "u": both}, views=plan.views | {"b@V1": view}
    )
    services = services_of(FakeDefinitions(plan))

    assert services.find("prod", "t").service == "t"
    with pytest.raises(UnavailableError, match="does not know 'a@V9'; upgrade"):
        services.find("prod", "s")
    with pytest.raises(UnavailableError, match="join key 'user_id'"):
        services.find("prod", "u")
