"""What nobody should do to a running processor, and what then becomes of it."""

import shutil

import pytest
from confluent_kafka.admin import NewPartitions  # type: ignore[attr-defined]  # it re-exports this without saying so

from infra.kafka.clients import admin, produce_checked, producer
from infra.paths import in_flight_path, state_path
from infra.process.exit_codes import ExitCode
from schemas.messages.updates import MESSAGE_FORMAT, Row, Update, encode_update
from schemas.topics import source_topic, updates_topic
from tests.support.site import SOURCE, VIEW, Site, event, processor, processor_process, spending


def test_what_is_no_update_is_passed_over(site: Site) -> None:
    plan = site.apply(spending())
    with processor(site):
        site.produce(event("ann", 1))
        site.waits_for({"ann": (1, 1)})
        client = producer(site.bootstrap)
        no_row = Update(MESSAGE_FORMAT, plan.number, plan.views[VIEW].id, 0, [Row(b"key", 1, -1, 0, 0, ["x"])], [])
        of_no_view = Update(MESSAGE_FORMAT, plan.number, 1_000_000, 0, [], [])
        for partition in range(plan.partitions):
            for value in (b"garbage", encode_update(no_row), encode_update(of_no_view)):
                produce_checked(client, updates_topic(site.workspace), None, value, partition=partition)
        site.produce(event("ann", 2))
        site.waits_for({"ann": (2, 3)})
    with processor(site):
        site.produce(event("ann", 3))
        site.waits_for({"ann": (3, 6)})


def test_topics_that_somebody_grew_are_read_and_rows_stay_where_they_were(site: Site) -> None:
    site.apply(spending())
    with processor(site):
        site.produce(event("ann", 1))
        site.waits_for({"ann": (1, 1)})
    client = admin(site.bootstrap)
    for topic in (source_topic(site.workspace, SOURCE), updates_topic(site.workspace)):
        client.create_partitions([NewPartitions(topic, 5)])[topic].result(10)
    site.producer = producer(site.bootstrap)  # the old one does not know yet
    with processor(site):
        site.produce(event("ann", 2), partition=4)
        site.waits_for({"ann": (2, 3)})
    assert not state_path(site.data, site.workspace, 4).exists()


@pytest.mark.slow
def test_folders_with_locks_that_are_removed_end_the_process_and_the_next_one_goes_on(site: Site) -> None:
    site.apply(spending())
    with processor_process(site) as running:
        site.produce(event("ann", 1))
        site.waits_for({"ann": (1, 1)})
        shutil.rmtree(state_path(site.data, site.workspace, 0).parent)
        assert running.wait() == ExitCode.STORAGE
        assert "removed or replaced while in use" in running.log
    with processor_process(site) as running:
        running.wait_ready()
        shutil.rmtree(in_flight_path(site.data, source_topic(site.workspace, SOURCE), 0).parent)
        assert running.wait() == ExitCode.STORAGE
        assert "removed or replaced while in use" in running.log
    with processor(site):
        site.produce(event("ann", 2))
        site.waits_for({"ann": (2, 3)})
