"""State and log that are lost, damaged, or cannot be written: what a processor says, and that nothing is lost."""

import resource
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined] # it re-exports this without saying so

from infra.kafka.clients import admin
from infra.paths import offline_log_folder, state_path
from infra.process.exit_codes import ExitCode
from infra.process.ports import LOOPBACK
from processors.materialize.step import OFFLINE
from schemas.messages.updates import REPLY_HEADER, ReplyAddress, Transformed, Written, decode_acks, place_of
from schemas.topics import acks_topic, source_topic, updates_topic
from tests.support.site import (
    SOURCE,
    ProcessorThread,
    Site,
    event,
    everything,
    processor,
    processor_process,
    spending,
)
from tests.support.waiting import wait_until

Part = Callable[[Site], Path]

USERS = 16
WORKSPACES = 6
"""How many tests may use `counted`, and how many `alone`."""


@dataclass
class Counted:
    """A workspace of one updates partition, and a user of whom an event is counted."""

    site: Site
    user: str
    expected: tuple[int, int] = (1, 1)

    def add(self, amount: int) -> None:
        """Produces one more event."""
        self.site.produce(event(self.user, amount))
        self.expected = (self.expected[0] + 1, self.expected[1] + amount)

    def check(self) -> None:
        """Runs a processor until all events are counted, those of earlier tests still, and one more."""
        with processor(self.site):
            self.add(10)
            self.site.waits_for({self.user: self.expected, "first": (1, 1)})
        assert len(self.site.logged()[self.user]) == self.expected[0]


def begin(folder: Path, bootstrap: str, users: Sequence[str], *texts: str) -> list[Site]:
    """Returns sites of one data folder, one for each text, once an event of each user is counted and nothing runs."""
    prefix = f"t{uuid.uuid4().hex[:8]}"
    sites = [
        Site(bootstrap, f"{prefix}-{number}", folder / str(number), 1, shared_data=folder / "data")
        for number in range(len(texts))
    ]
    for site, text in zip(sites, texts, strict=True):
        site.folder.mkdir()
        site.apply(text)
    with processor(sites[0], workspaces=",".join(site.workspace for site in sites)):
        for site in sites:
            site.produce(*[event(user, 1) for user in users])
        for site in sites:
            site.waits_for(dict.fromkeys(users, (1, 1)))
    return sites


@pytest.fixture(scope="module")
def lasting(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iterator[Counted]]:
    """Users of one workspace, for tests that leave it whole."""
    users = [f"user{number}" for number in range(USERS)]
    (site,) = begin(tmp_path_factory.mktemp("lasting"), bootstrap, ["first", *users], spending())
    yield iter([Counted(site, user) for user in users])
    site.remove()


@pytest.fixture
def counted(lasting: Iterator[Counted]) -> Counted:
    return next(lasting)


@pytest.fixture(scope="module")
def untouched(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iterator[Site]]:
    """Workspaces for tests that may lose and delete what is theirs in Kafka, in the data folder of all of them."""
    folder = tmp_path_factory.mktemp("untouched")
    sites = begin(folder, bootstrap, ["first"], *[spending(options="")] * WORKSPACES)
    yield iter(sites)
    for site in sites:
        site.remove()


@pytest.fixture
def alone(untouched: Iterator[Site], tmp_path: Path) -> Counted:
    """For tests after which nobody else may use it, nor its data folder."""
    site = next(untouched)
    shutil.copytree(site.data, tmp_path / "data")
    return Counted(replace(site, folder=tmp_path, shared_data=None), "first")


def state(site: Site) -> Path:
    return state_path(site.data, site.workspace, 0)


def log(site: Site) -> Path:
    return site.data / offline_log_folder(site.workspace, 0)


def source_log(site: Site) -> Path:
    return site.data / "log" / site.workspace / "source=events"


def refused(site: Site) -> str:
    """Runs a processor that has to end with the exit code for storage; returns what it said."""
    with processor_process(site) as running:
        assert running.wait(60) == ExitCode.STORAGE, running.log
        return running.log


@pytest.mark.parametrize(
    "lost",
    [(state,), (log,), (state, log), (source_log,), (state, log, source_log)],
    ids=["state", "log", "state and log", "source log", "all"],
)
def test_what_is_lost_is_built_again_from_what_is_left(counted: Counted, lost: tuple[Part, ...]) -> None:
    for folder in lost:
        shutil.rmtree(folder(counted.site))
    counted.check()


@pytest.mark.parametrize("damaged", ["CURRENT", "MANIFEST-*", "*.sst"])
def test_a_damaged_database_is_named_with_a_remedy_that_loses_nothing(counted: Counted, damaged: str) -> None:
    files = list(state(counted.site).glob(damaged))
    assert files
    for file in files:
        file.write_bytes(b"garbage " * 100)
    said = refused(counted.site)
    assert str(state(counted.site)) in said
    assert "rebuilt" in said
    shutil.rmtree(state(counted.site))
    counted.check()


def test_a_damaged_offline_log_is_named_with_a_remedy_that_loses_nothing(counted: Counted) -> None:
    segment = next(log(counted.site).glob("*.avro"))
    whole = segment.read_bytes()
    segment.write_bytes(whole.replace(b"first", b"WRONG", 1))
    said = refused(counted.site)
    assert segment.name in said
    assert "restore the file from a copy" in said
    segment.write_bytes(whole)
    counted.check()


def test_folders_that_another_process_keeps_are_waited_for_and_taken_over_once_free(counted: Counted) -> None:
    def waits(running: ProcessorThread) -> bool:
        reasons = running.reasons() or {}
        remedy = "look for another `headrace processor` on this host"
        return all(remedy in reasons.get(stage, "") for stage in ("transform", "materialize"))

    with processor(counted.site) as first:
        # Other groups, so that Kafka gives the same partitions out twice: what a frozen process looks like.
        twin = ProcessorThread(counted.site.settings(installation=f"{counted.user}-twin"))
        try:
            wait_until(lambda: waits(twin))
            counted.add(2)
            counted.site.waits_for({counted.user: counted.expected})
            assert waits(twin)
            assert first.stop() == ExitCode.OK
            twin.wait_ready()
            counted.add(3)
            counted.site.waits_for({counted.user: counted.expected})
        finally:
            code = twin.stop()
    assert code == ExitCode.OK


@pytest.mark.slow
def test_records_that_kafka_no_longer_holds_are_never_skipped(alone: Counted, tmp_path: Path) -> None:
    site = alone.site
    shutil.copytree(site.data, tmp_path / "old")
    with processor(site):
        alone.add(2)
        site.waits_for({"first": alone.expected})
    shutil.move(site.data, tmp_path / "new")
    shutil.move(tmp_path / "old", site.data)
    topic = updates_topic(site.workspace)
    end = TopicPartition(topic, 0, -1)
    client = admin(site.bootstrap)
    client.delete_records([end])[end].result(10)
    said = refused(site)
    assert f"{topic} partition 0: processing goes on at offset" in said
    assert "restore log and state of the partition from a newer copy" in said
    shutil.rmtree(site.data)
    shutil.move(tmp_path / "new", site.data)
    with processor(site):
        alone.add(3)
        site.waits_for({"first": alone.expected})


@pytest.mark.slow
def test_a_log_that_was_deleted_begins_at_what_kafka_holds_and_is_no_base_for_a_rebuild(alone: Counted) -> None:
    site = alone.site
    with processor(site):
        alone.add(2)
        site.waits_for({"first": alone.expected})
    kept = TopicPartition(updates_topic(site.workspace), 0, 1)
    client = admin(site.bootstrap)
    client.delete_records([kept])[kept].result(10)
    shutil.rmtree(log(site))
    with processor_process(site) as running:
        running.wait_ready()
        alone.add(3)
        site.waits_for({"first": alone.expected})
        metrics = httpx.get(f"http://{LOOPBACK}:{running.port}/metrics").text
        assert f'headrace_offline_log_begins{{partition="0",workspace="{site.workspace}"}} 1.0' in metrics
        running.stop()
        assert "the offline log is gone and begins anew" in running.log
    assert site.logged() == {"first": [2, 3]}
    shutil.move(state(site), site.folder / "state")
    said = refused(site)
    assert "cannot be built from its log, which begins at offset 1" in said
    shutil.rmtree(state(site), ignore_errors=True)
    shutil.move(site.folder / "state", state(site))
    with processor(site):
        alone.add(4)
        site.waits_for({"first": alone.expected})


def test_a_topic_that_was_made_anew_is_noticed(alone: Counted) -> None:
    topic = updates_topic(alone.site.workspace)
    client = admin(alone.site.bootstrap)
    client.delete_topics([topic])[topic].result(10)
    wait_until(lambda: topic not in client.list_topics(timeout=5).topics)
    client.create_topics([NewTopic(topic, 1, config={"message.timestamp.type": "LogAppendTime"})])[topic].result(10)
    said = refused(alone.site)
    assert "it was made anew or truncated; connect to the right Kafka, or start with an empty data folder" in said


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit is Linux's")
def test_a_full_disk_is_told_to_whoever_waits_and_loses_nothing(alone: Counted) -> None:
    site, request = alone.site, b"request-of-test"
    with processor_process(site) as running:
        running.wait_ready()
        # No file may grow any more: what a full disk is to a process.
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (1, 1))
        here = place_of(source_topic(site.workspace, SOURCE), 0)
        site.produce(
            event("first", 2), headers={REPLY_HEADER: ReplyAddress(3, request, 0, site.installation).header(here)}
        )
        assert running.wait(60) == ExitCode.STORAGE, running.log
        assert "check free space" in running.log
    acks = everything(site.bootstrap, acks_topic(site.workspace), 3)
    answers = [answer for ack in acks for answer in decode_acks(ack.value() or b"") if answer.request == request]
    assert [type(answer) for answer in answers] == [Transformed, Written]
    assert isinstance(answers[1], Written)
    assert (answers[1].store, answers[1].message != "") == (OFFLINE, True)
    with processor(site):
        site.waits_for({"first": (2, 3)})
    assert site.logged() == {"first": [1, 2]}
