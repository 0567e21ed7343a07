"""Definitions that change under a running processor."""

from pathlib import Path

import msgspec

from headrace.current_plan import current_plan
from infra.kafka.definitions import publish_plan
from schemas.messages.updates import PLAN_HEADER, plan_header
from tests.support.site import HEAD, VIEW, SharedProcessor, Site, event, processor, source_text, spending, view_text
from tests.support.waiting import wait_until


def test_sources_and_views_come_and_go_without_a_restart(served: Site, shared_processor: SharedProcessor) -> None:
    served.apply(HEAD, source_text(), view_text())
    served.produce(event("ann", 1))
    served.waits_for({"ann": (1, 1)})

    served.apply(HEAD, source_text(), view_text(), view_text("other"))
    served.produce(event("ann", 2), headers={PLAN_HEADER: plan_header(served.plan.number)})
    served.waits_for({"ann": (2, 3)})
    served.waits_for({"ann": (1, 2)}, view="other@V1")

    served.apply(HEAD, source_text(), source_text("clicks"), view_text("other"), view_text("clicked", "clicks"))
    served.produce(event("ann", 5), source="clicks")
    served.waits_for({"ann": (1, 5)}, view="clicked@V1")
    served.produce(event("ann", 3), headers={PLAN_HEADER: plan_header(served.plan.number)})
    served.waits_for({"ann": (2, 5)}, view="other@V1")

    removed = served.plans[-2]
    served.apply(HEAD, source_text("clicks"), view_text("clicked", "clicks"))
    served.produce(event("ann", 6), source="clicks")
    served.waits_for({"ann": (2, 11)}, view="clicked@V1")
    assert shared_processor.health.is_ready()

    # What was written to the source meanwhile is processed when it comes back; its view begins anew.
    served.plans.append(removed)
    served.produce(event("ann", 4))
    served.apply(HEAD, source_text(), view_text())
    served.waits_for({"ann": (1, 4)})
    assert shared_processor.health.is_ready()


def test_a_view_that_comes_back_within_its_grace_has_no_gap_and_one_that_ended_begins_anew(site: Site) -> None:
    both = (HEAD, source_text(), source_text("clicks"), view_text(), view_text("other", "clicks"))
    with processor(site):
        first = site.apply(*both)
        site.produce(event("ann", 1))
        site.waits_for({"ann": (1, 1)})

        # Its source is gone, too: it is still read, with the texts of before, also by a processor that starts now.
        site.apply(HEAD, source_text("clicks"), view_text("newer", "clicks", "return None"), removals="grace")
        assert VIEW not in site.plan.views
        site.plans.append(first)
        site.produce(event("ann", 2))
        site.waits_for({"ann": (2, 3)})
    with processor(site) as running:
        site.produce(event("ann", 3))
        site.waits_for({"ann": (3, 6)})
        again = site.apply(*both, removals="grace")
        assert again.views[VIEW].id == first.views[VIEW].id
        site.produce(event("ann", 4))
        site.waits_for({"ann": (4, 10)})
        assert site.logged() == {"ann": [1, 2, 3, 4]}

        # Its grace passes: every process learns that it has ended, and what is left of it is swept.
        site.apply(
            HEAD, source_text(), source_text("clicks"), view_text("other", "clicks"), removals="grace", days=1e-6
        )
        wait_until(lambda: VIEW not in (current_plan(site.bootstrap, site.workspace) or first).retired)
        site.plans.append(first)
        site.waits_for({"ann": (0, 0)})
        assert running.is_ready()
        anew = site.apply(*both)
        assert anew.views[VIEW].id > first.views[VIEW].id
        site.produce(event("ann", 5))
        site.waits_for({"ann": (1, 5)})


def test_the_last_workspace_may_go_and_come_back(site: Site) -> None:
    site.apply(spending())
    with processor(site) as running:
        site.produce(event("ann", 1))
        site.waits_for({"ann": (1, 1)})
        site.remove()
        wait_until(running.is_ready)
        publish_plan(site.producer, site.plan)
        site.produce(event("ann", 2))
        site.waits_for({"ann": (2, 3)})


def test_a_record_of_a_newer_plan_waits_until_it_is_here(served: Site) -> None:
    served.apply(spending())
    served.produce(event("ann", 1))
    served.waits_for({"ann": (1, 1)})
    newer = served.apply(HEAD, source_text(options="log_offline=True,"), view_text(), view_text("other"))
    served.produce(*[event("ann", 1) for _ in range(20)], headers={PLAN_HEADER: plan_header(newer.number)})
    served.waits_for({"ann": (20, 20)}, view="other@V1")


def test_helper_modules_travel_with_the_plan(site: Site) -> None:
    features = HEAD + "from helper import doubled\n" + source_text() + view_text(body="return doubled(record)")
    site.apply(features, helper="def doubled(record):\n    return {**record, 'amount': record['amount'] * 2}\n")
    (site.folder / "repository" / "helper.py").unlink()
    with processor(site):
        site.produce(event("ann", 4))
        site.waits_for({"ann": (1, 8)})


def test_a_plan_of_an_unknown_format_leaves_the_old_one_in_force_and_shows_in_readiness(site: Site) -> None:
    site.apply(spending())
    with processor(site) as running:
        publish_plan(site.producer, msgspec.structs.replace(site.plan, format=99))
        wait_until(lambda: "upgrade Headrace" in (running.reasons() or {}).get("definitions", ""))
        site.produce(event("ann", 1))
        site.waits_for({"ann": (1, 1)})
        publish_plan(site.producer, site.plan)
        running.wait_ready()


def test_a_plan_of_an_unknown_format_shows_in_readiness_whichever_workspace_it_is_of(
    served: Site, shared_processor: SharedProcessor, tmp_path: Path
) -> None:
    other = shared_processor.site(tmp_path)
    other.apply(spending())
    publish_plan(other.producer, msgspec.structs.replace(other.plan, format=99))
    try:
        served.apply(spending())
        told = f"workspace {other.workspace}: "
        wait_until(lambda: told in (shared_processor.health.reasons() or {}).get("definitions", ""))
    finally:
        publish_plan(other.producer, other.plan)
    shared_processor.health.wait_ready()


def test_two_workspaces_do_not_meet(served: Site, shared_processor: SharedProcessor, tmp_path: Path) -> None:
    other = shared_processor.site(tmp_path)
    served.apply(spending())
    other.apply(HEAD, source_text(), view_text("elsewhere"))
    try:
        served.produce(event("ann", 1))
        other.produce(event("ann", 5))
        served.waits_for({"ann": (1, 1)})
        other.waits_for({"ann": (1, 5)}, view="elsewhere@V1")
        for each in (served, other):
            each.waits_until_finished()
        assert (served.logged(), other.logged("elsewhere@V1")) == ({"ann": [1]}, {"ann": [5]})
        segment = next((served.data / "log" / served.workspace / "partition=0").parent.glob("partition=*/*.avro"))
        assert b"elsewhere" not in segment.read_bytes()
    finally:
        other.remove()


def test_a_slow_function_lets_progress_show(site: Site) -> None:
    site.apply(HEAD, source_text(), view_text(body="import time; time.sleep(0.05); return record"))
    with processor(site, watchdog_seconds=3.0) as running:
        site.produce(*[event("ann", 1) for _ in range(100)])  # 5 s of work in one batch: more than the watchdog allows
        site.waits_for({"ann": (100, 100)}, seconds=60)
        assert running.is_ready()
