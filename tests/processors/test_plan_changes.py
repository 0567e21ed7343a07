"""Definitions that change under a running processor."""

import pytest

from infra.definitions import publish_plan
from schemas.updates import PLAN_HEADER, plan_header
from tests.processors.site import HEAD, Shared, Site, event, source_text, spending, view_text
from tests.waiting import wait_until


def test_sources_and_views_come_and_go_without_a_restart(live: Site, shared: Shared) -> None:
    live.apply(HEAD, source_text(), view_text())
    live.produce(event("ann", 1))
    live.waits_for({"ann": (1, 1)})

    live.apply(HEAD, source_text(), view_text(), view_text("other"))
    live.produce(event("ann", 2), headers={PLAN_HEADER: plan_header(live.plan.number)})
    live.waits_for({"ann": (2, 3)})
    live.waits_for({"ann": (1, 2)}, view="other@V1")

    live.apply(HEAD, source_text(), source_text("clicks"), view_text("other"), view_text("clicked", "clicks"))
    live.produce(event("ann", 5), source="clicks")
    live.waits_for({"ann": (1, 5)}, view="clicked@V1")
    live.produce(event("ann", 3), headers={PLAN_HEADER: plan_header(live.plan.number)})
    live.waits_for({"ann": (2, 5)}, view="other@V1")

    removed = live.plans[-2]
    live.apply(HEAD, source_text("clicks"), view_text("clicked", "clicks"))
    live.produce(event("ann", 6), source="clicks")
    live.waits_for({"ann": (2, 11)}, view="clicked@V1")
    assert shared.processor.is_ready()

    # What was written to the source meanwhile is processed when it comes back; its view begins anew.
    live.plans.append(removed)
    live.produce(event("ann", 4))
    live.apply(HEAD, source_text(), view_text())
    live.waits_for({"ann": (1, 4)})
    assert shared.processor.is_ready()


@pytest.mark.slow
def test_a_workspace_may_go_and_come_back(live: Site, shared: Shared) -> None:
    live.apply(spending())
    live.produce(event("ann", 1))
    live.waits_for({"ann": (1, 1)})
    live.remove()
    wait_until(shared.processor.is_ready)
    publish_plan(live.producer, live.plan)
    live.produce(event("ann", 2))
    live.waits_for({"ann": (2, 3)})


def test_a_record_of_a_newer_plan_waits_until_it_is_here(live: Site) -> None:
    live.apply(spending())
    live.produce(event("ann", 1))
    live.waits_for({"ann": (1, 1)})
    newer = live.apply(HEAD, source_text(options="log_offline=True,"), view_text(), view_text("other"))
    live.produce(*[event("ann", 1) for _ in range(20)], headers={PLAN_HEADER: plan_header(newer.number)})
    live.waits_for({"ann": (20, 20)}, view="other@V1")


def test_helper_modules_travel_with_the_plan(live: Site) -> None:
    features = HEAD + "from helper import doubled\n" + source_text() + view_text(body="return doubled(record)")
    live.apply(features, helper="def doubled(record):\n    return {**record, 'amount': record['amount'] * 2}\n")
    (live.folder / "repository" / "helper.py").unlink()
    live.produce(event("ann", 4))
    live.waits_for({"ann": (1, 8)})


def test_two_workspaces_do_not_meet(live: Site, shared: Shared) -> None:
    with shared.site(f"{live.workspace}-other", live.folder) as other:
        live.apply(spending())
        other.apply(HEAD, source_text(), view_text("elsewhere"))
        live.produce(event("ann", 1))
        other.produce(event("ann", 5))
        live.waits_for({"ann": (1, 1)})
        other.waits_for({"ann": (1, 5)}, view="elsewhere@V1")
        assert (live.logged(), other.logged("elsewhere@V1")) == ({"ann": [1]}, {"ann": [5]})
        segments = list((live.data / "log" / live.workspace).glob("partition=*/*.avro"))
        assert segments
        assert not any(b"elsewhere" in segment.read_bytes() for segment in segments)
