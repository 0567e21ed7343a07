"""Processors as processes: they join and leave under load, freeze, and meet functions that kill; over HTTP, too."""

import resource
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import httpx
import pytest

from examples.processes import processes_of
from examples.running import System, running_system
from infra.process.exit_codes import ExitCode
from tests.support.site import Site, event, processor, processor_process, spending
from tests.support.system import snowflake_headers, tecton_headers
from tests.support.waiting import wait_until

USERS = [f"user{number}" for number in range(20)]
PATIENCE = 90.0


@pytest.fixture
def site(bootstrap: str, tmp_path: Path, unique: str) -> Iterator[Site]:
    site = Site(bootstrap, unique, tmp_path, partitions=4)
    yield site
    site.remove()


class Load:
    """Produces until it is told to stop, and knows what has to be counted."""

    def __init__(self, site: Site) -> None:
        self.rounds = 0
        self._site = site
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def expected(self) -> dict[str, tuple[int, int]]:
        return dict.fromkeys(USERS, (self.rounds, sum(range(self.rounds))))

    def further(self, rounds: int) -> None:
        """Waits until so many more rounds are produced."""
        before = self.rounds
        wait_until(lambda: self.rounds >= before + rounds, PATIENCE)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._site.produce(*[event(user, self.rounds) for user in USERS], partition=self.rounds % 4)
            self.rounds += 1
            self._stop.wait(0.01)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_processors_join_and_leave_under_load_and_every_event_counts_once(site: Site) -> None:
    site.apply(spending())
    with processor_process(site) as first:
        first.wait_ready()
        with Load(site) as load:
            load.further(50)
            with processor_process(site) as second:
                second.wait_ready()
                wait_until(lambda: "partitions released" in first.log)  # some have moved to the second
                load.further(50)
                assert second.stop() == ExitCode.OK, second.log
            load.further(50)
            with processor_process(site) as third:
                third.wait_ready()
                assert first.stop() == ExitCode.OK, first.log
                load.further(50)
                third.wait_ready()
                assert third.stop() == ExitCode.OK, third.log
    with processor(site):
        site.waits_for(load.expected(), seconds=PATIENCE)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_frozen_processor_that_wakes_up_corrupts_nothing(site: Site) -> None:
    site.apply(spending())
    with processor_process(site) as frozen, Load(site) as load:
        frozen.wait_ready()
        load.further(50)
        frozen.signal(signal.SIGSTOP)
        with processor_process(site) as other:
            # It is given the partitions after the session has ended, and waits for the folders to be let go.
            wait_until(lambda: "processor runs" in other.log)
            load.further(700)
            wait_until(lambda: "another process keeps it" in str(other.reasons()), PATIENCE)
            frozen.signal(signal.SIGCONT)
            wait_until(lambda: "updates" in other.log and other.is_ready(), PATIENCE)
            load.further(50)
            assert frozen.stop() == ExitCode.OK, frozen.log
            load.further(50)
            other.wait_ready()
            assert other.stop() == ExitCode.OK, other.log
    with processor(site):
        site.waits_for(load.expected(), seconds=PATIENCE)


POISON = """if record["user"] == "poison":
        import os
        os._exit(9)
    return record"""


INVERSE = 'return record if record["amount"] else 1 / 0'
SERVICE = "spendings"


@contextmanager
def up(site: Site, *flags: str, body: str = "return record") -> Iterator[System]:
    repository = site.folder / "repository"
    repository.mkdir()
    service = f'\nserved = FeatureService(name="{SERVICE}", features=[spending])\n'
    (repository / "features.py").write_text(spending(body, options="") + service)
    kafka = ("--bootstrap", site.bootstrap, "--workspace", site.workspace, "--workspaces", site.workspace)
    with running_system(site.data, *kafka, "--repo", str(repository), "--source-partitions", "1", *flags) as system:
        yield system


def post(system: System, user: str) -> httpx.Response:
    record = event(user, 1)
    body = {"records": {"events": [{**record, "at": record["at"].isoformat()}]}}
    url = system.ingest + "/api/v1/ingest"
    return httpx.post(url, json=body, headers=snowflake_headers(system), timeout=120)


def post_as_tecton(system: System, site: Site, *amounts: int | str, dry_run: bool = False) -> httpx.Response:
    records = [{**event("ann", 0), "amount": amount} for amount in amounts]
    items = [{"record": {**record, "at": str(record["at"])}} for record in records]
    body = {"workspace_name": site.workspace, "dry_run": dry_run, "records": {"events": items}}
    return httpx.post(system.ingest + "/v2/ingest", json=body, headers=tecton_headers(system), timeout=120)


def features_of(system: System, site: Site, user: str) -> list[str]:
    params = {"workspaceName": site.workspace, "featureServiceName": SERVICE, "joinKeyMap": {"user": user}}
    url = system.serving + "/api/v1/feature-service/get-features"
    read = httpx.post(url, json={"params": params}, headers=tecton_headers(system), timeout=120)
    found: list[str] = read.json()["result"]["features"]
    return found


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_both_dialects_write_to_one_state(site: Site) -> None:
    with up(site, body=INVERSE) as system:
        wait_until(lambda: post(system, "ann").status_code == 200)
        counted = post_as_tecton(system, site, 2, "3").json()["ingestMetrics"]["featureViewIngestMetrics"][0]
        assert counted["featureViewName"] == "spending"
        assert (counted["onlineRecordIngestCount"], counted["offlineRecordIngestCount"]) == ("2", "2")
        assert post_as_tecton(system, site, 4, dry_run=True).status_code == 200
        refused = post_as_tecton(system, site, 5, "six")
        assert (refused.status_code, len(refused.json()["recordErrors"])) == (400, 1)
        failed = post_as_tecton(system, site, 0).json()["recordErrors"]
        assert [each["errorType"] for each in failed] == ["TransformationError"]
        assert "ZeroDivisionError" in failed[0]["errorMessage"]
        assert features_of(system, site, "ann") == ["3", "6"]  # n and total


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_caller_is_told_that_the_function_killed_and_the_others_are_stored(site: Site) -> None:
    with (
        up(site, "--ack-deadline-seconds", "90", body=POISON) as system,
        ThreadPoolExecutor() as callers,
    ):
        wait_until(lambda: post(system, "first").status_code == 200)
        answers = list(callers.map(lambda user: post(system, user), ["ann", "poison", "bob"]))
    assert [answer.status_code for answer in answers] == [200, 207, 200], [answer.text for answer in answers]
    assert "UDF_EXECUTION_FAILED" in answers[1].text
    assert "ended with exit status 9" in answers[1].text


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.skipif(sys.platform != "linux", reason="prlimit is Linux's")
def test_a_caller_is_told_which_store_failed_and_may_send_again(site: Site) -> None:
    with up(site) as system:
        wait_until(lambda: post(system, "ann").status_code == 200)
        before = processes_of(system, "processor")[0]
        # Its next write to any file fails, as on a full disk. The processor that follows it has no such limit.
        resource.prlimit(before.pid, resource.RLIMIT_FSIZE, (1, 1))
        failed = post(system, "ann")
        assert failed.status_code == 207
        assert "WRITE_ERROR" in failed.text
        assert "offline" in failed.text
        wait_until(lambda: post(system, "ann").status_code == 200, PATIENCE)
        assert processes_of(system, "processor")[0].pid != before.pid
