"""What nobody should do to a running processor, and what then becomes of it."""

import shutil

from infra.exit_codes import ExitCode
from infra.kafka_clients import produce_checked, producer
from infra.paths import state_path
from schemas.topics import updates_topic
from tests.processors.site import Site, event, processor, processor_process, spending


def test_what_is_no_update_is_passed_over(site: Site) -> None:
    plan = site.apply(spending())
    with processor(site):
        site.produce(event("ann", 1))
        site.waits_for({"ann": (1, 1)})
        client = producer(site.bootstrap)
        for partition in range(plan.partitions):
            produce_checked(client, updates_topic(site.workspace), None, b"garbage", partition=partition)
        site.produce(event("ann", 2))
        site.waits_for({"ann": (2, 3)})
    with processor(site):
        site.produce(event("ann", 3))
        site.waits_for({"ann": (3, 6)})


def test_a_state_folder_that_is_removed_ends_the_process_and_is_rebuilt(site: Site) -> None:
    plan = site.apply(spending())
    with processor_process(site) as running:
        site.produce(event("ann", 1))
        site.waits_for({"ann": (1, 1)})
        for partition in range(plan.partitions):
            shutil.rmtree(state_path(site.data, site.workspace, partition))
        assert running.wait() == ExitCode.STORAGE
        assert "removed or replaced while in use" in running.log
    with processor(site):
        site.produce(event("ann", 2))
        site.waits_for({"ann": (2, 3)})
