"""What a partition does between batches, on a real database and without Kafka."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from prometheus_client import REGISTRY

from processors.consumer.batches import Batch
from processors.consumer.faust_channels import process
from processors.materialize.worker import MaterializeWorker
from schemas.definitions.plan import ViewPlan
from schemas.instants import DAY, SECOND
from tests.support.flow import AT, WORKSPACE
from tests.support.updates_host import Host


def tick(owner: MaterializeWorker) -> None:
    asyncio.run(process(Batch(owner, [], lambda: None)))


def keep_house(host: Host) -> None:
    """Owns the partition for a moment."""
    with host.partition() as owner:
        tick(owner)


def held_seconds() -> float | None:
    labels = {"workspace": WORKSPACE, "partition": "0"}
    return REGISTRY.get_sample_value("headrace_clock_step_held_seconds", labels)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def view(host: Host) -> ViewPlan:
    return host.definitions.applied.views["totals@V1"]


def test_rows_go_by_the_lesser_of_the_watermark_and_the_hosts_clock(host: Host, view: ViewPlan) -> None:
    host.hold = 0
    later = AT + 40 * DAY
    host.write(view, AT)
    host.clock = later
    keep_house(host)
    assert host.kept(view) == [AT]
    host.write(view, later)
    host.clock = AT
    keep_house(host)
    assert host.kept(view) == [AT, later]
    host.clock = later
    keep_house(host)
    assert host.kept(view) == [later]


def test_a_step_of_the_hosts_clock_deletes_nothing_is_told_and_is_believed_in_the_end(
    host: Host, view: ViewPlan, capsys: pytest.CaptureFixture[str]
) -> None:
    later = AT + 40 * DAY  # whatever sends events, and the broker, believe the clock
    host.write(view, AT, later)
    with host.partition() as owner:
        tick(owner)
        assert held_seconds() == 0
        host.clock += 40 * DAY
        tick(owner)
        assert held_seconds() == 40 * DAY / SECOND
        assert "clock stepped ahead" in capsys.readouterr().out
    assert held_seconds() is None
    assert host.kept(view) == [AT, later]
    with host.partition() as owner:  # the next owner knows
        tick(owner)
        assert held_seconds() == 40 * DAY / SECOND
    assert host.kept(view) == [AT, later]
    with host.partition() as owner:
        tick(owner)
        host.run(DAY)
        tick(owner)
        assert held_seconds() == 0
        assert "follows the host's clock again" in capsys.readouterr().out
    assert host.kept(view) == [later]


def test_what_another_view_left_under_the_id_of_a_new_one_goes_at_once_and_is_told(
    host: Host, view: ViewPlan, capsys: pytest.CaptureFixture[str]
) -> None:
    host.write(view, AT)
    with host.partition():
        pass
    assert host.kept(view) == [AT]
    applied = host.definitions.applied
    other = msgspec.structs.replace(view, grace=view.grace + 1)
    host.definitions.applied = msgspec.structs.replace(applied, views=applied.views | {other.key: other})
    with host.partition():
        pass
    assert host.kept(view) == []
    labels = {"workspace": WORKSPACE, "view": view.key}
    assert REGISTRY.get_sample_value("headrace_state_dropped_total", labels) == 1
    assert "state of another view dropped" in capsys.readouterr().out
