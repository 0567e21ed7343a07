from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from schemas.definitions.ids import defined_id
from schemas.errors import DefinitionError, NotFoundError, UnavailableError
from schemas.state.keys import JoinKey
from schemas.types import Int64
from serving.reads.dialect import DialectService, ReadDialect
from serving.reads.metering import Meter
from serving.reads.read_plan import ReadPlan, ViewAnswer
from serving.reads.service import Services
from tests.serving.world import INSTALLATION, plan_of, service_text, view_text
from tests.support.plans import HeldPlans

FIRST = view_text("a", "") + service_text("s", "a_V1")
SECOND = FIRST + service_text("t", "a_V1")


@dataclass(frozen=True)
class Compiled(DialectService):
    """What a dialect made of a plan."""

    plan: ReadPlan

    def keys(self, asked: Any) -> Sequence[Sequence[JoinKey]]:
        return [asked]

    def encode(self, asked: Any, reads: Sequence[Sequence[ViewAnswer]], meter: Meter | None, seconds: float) -> bytes:
        return b""


def dialect(name: str, compile_service: Callable[[ReadPlan], DialectService] = Compiled) -> ReadDialect:
    return ReadDialect(
        name=name,
        max_body_bytes=1,
        advice="",
        too_many="",
        outline=lambda _scope, _body: pytest.fail("nothing is asked"),
        compile=compile_service,
        about=lambda workspace, service: f"{service} of {workspace}",
    )


PLAIN = dialect("plain")


def services_of(definitions: HeldPlans, *more: ReadDialect) -> Services:
    services = Services(definitions, [PLAIN, *more], INSTALLATION)
    services.refresh()
    services.complete = True
    return services


def test_a_new_plan_is_in_force_after_a_refresh() -> None:
    definitions = HeldPlans(plan_of(FIRST))
    services = services_of(definitions)
    before = services.find("prod", "s")
    definitions.plans["prod"] = plan_of(SECOND, number=11)
    services.refresh()

    assert services.find("prod", "t").plan.service == "t"
    assert services.find("prod", "s") is not before


def test_a_plan_that_did_not_change_is_not_compiled_again() -> None:
    definitions = HeldPlans(plan_of(FIRST))
    services = services_of(definitions)
    before = services.find("prod", "s")
    definitions.plans["dev"] = plan_of(FIRST, workspace="dev")
    services.refresh()

    assert services.find("prod", "s") is before
    assert services.find("dev", "s").plan.workspace == "dev"


def test_a_workspace_that_is_gone_is_forgotten() -> None:
    definitions = HeldPlans(plan_of(FIRST))
    services = services_of(definitions)
    definitions.plans.clear()
    services.refresh()

    with pytest.raises(NotFoundError, match="no such workspace"):
        services.find("prod", "s")
    assert services.plan("prod") is None


def test_what_does_not_exist_is_named_with_what_does() -> None:
    services = services_of(HeldPlans(plan_of(SECOND)))

    with pytest.raises(NotFoundError, match="there is no such service; known are: s, t"):
        services.find("prod", "x")


def test_a_service_that_is_switched_off_is_not_served() -> None:
    off = view_text("a", "") + service_text("s", "a_V1", options=", online_serving_enabled=False")

    with pytest.raises(NotFoundError, match="online_serving_enabled=False"):
        services_of(HeldPlans(plan_of(off))).find("prod", "s")


def test_before_definitions_are_complete_what_is_missing_may_yet_come() -> None:
    services = services_of(HeldPlans(plan_of(FIRST)))
    services.complete = False

    assert services.find("prod", "s").plan.service == "s"
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
    services = services_of(HeldPlans(plan))

    assert services.find("prod", "t").plan.service == "t"
    with pytest.raises(UnavailableError, match="does not know 'a@V9'; upgrade"):
        services.find("prod", "s")
    with pytest.raises(UnavailableError, match="join key 'user_id'"):
        services.find("prod", "u")


def test_a_service_is_found_by_its_id_too() -> None:
    services = services_of(HeldPlans(plan_of(SECOND)))
    known = defined_id(INSTALLATION, "prod", "feature_service", "t")
    assert services.find("prod", None, known) is services.find("prod", "t")
    for other in ("0" * 32, "", "t", defined_id("i2", "prod", "feature_service", "t")):
        with pytest.raises(NotFoundError, match="there is no such service"):
            services.find("prod", None, other)


def test_each_dialect_has_its_own_part_of_a_service() -> None:
    services = services_of(HeldPlans(plan_of(FIRST)), dialect("other"))
    served = services.find("prod", "s")
    assert served.of(PLAIN) is not served.of(dialect("other"))
    assert served.of(PLAIN) == Compiled(served.plan)


def test_a_service_that_one_dialect_cannot_serve_is_served_in_the_others() -> None:
    def refuse(_plan: ReadPlan) -> DialectService:
        raise DefinitionError("a type that it has no word for")

    picky = dialect("picky", refuse)
    served = services_of(HeldPlans(plan_of(FIRST)), picky).find("prod", "s")
    assert served.of(PLAIN) == Compiled(served.plan)
    with pytest.raises(UnavailableError, match="s of prod: a type that it has no word for"):
        served.of(picky)
    with pytest.raises(UnavailableError, match="s of prod: it is not compiled for this API"):
        served.of(dialect("unheard of"))
