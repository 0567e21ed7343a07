"""What all tests share: a real broker, names of their own, and a check that nothing outlives the run."""

import contextlib
import os
import uuid
from collections.abc import Iterator

import psutil
import pytest
import structlog
from hypothesis import settings

from infra.kafka.clients import partition_counts
from infra.local_kafka.broker import LocalKafka
from infra.process.ports import free_port
from schemas.errors import UnavailableError
from tests.support.kafka import BROKER_VARIABLE, DOCKER_VARIABLE, START_SECONDS, kafka_in_docker
from tests.support.waiting import wait_until

pytest_plugins = ["tests.support.lanes"]

# How many random examples a test tries, as a part of its own count: tests.support.histories.examples.
for _profile in ("quick", "long"):
    settings.register_profile(_profile)

LEAVE_SECONDS = 5.0
"""How long processes that were told to stop may take to be gone."""

RUN_VARIABLE = "PYTEST_RUN_ID"
"""Inherited by every process a test starts, so that orphans are found too."""


@pytest.fixture(scope="session", autouse=True)
def nothing_outlives_the_run() -> Iterator[None]:
    """Fails the run if a process that it started is still alive at its end; set up first, so it looks last.

    With several workers, each looks after what itself has started.
    """
    run = uuid.uuid4().hex
    os.environ[RUN_VARIABLE] = run
    yield
    with contextlib.suppress(TimeoutError):
        wait_until(lambda: not _started_by(run), LEAVE_SECONDS)
    alive = _started_by(run)
    names = [f"{process.pid} {_command_line(process)}" for process in alive]
    for process in alive:
        process.kill()
    assert not names, "still alive at the end of the tests, now killed: " + "; ".join(names)


@pytest.fixture(scope="session")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the one Kafka that all tests share, started when the first test asks for it.

    Whoever starts a processor on it has it work for workspaces of its own (`Site` does).
    """
    if given := os.environ.get(BROKER_VARIABLE):
        wait_until(lambda: _answers(given), START_SECONDS)
        yield given
    elif os.environ.get(DOCKER_VARIABLE):
        with kafka_in_docker() as address:
            wait_until(lambda: _answers(address), START_SECONDS)
            yield address
    else:
        with LocalKafka(tmp_path_factory.mktemp("kafka")) as kafka:
            yield kafka.bootstrap


@pytest.fixture(scope="session")
def outage_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    kafka = LocalKafka(tmp_path_factory.mktemp("kafka-with-outages"), free_port())
    yield kafka
    kafka.stop()


@pytest.fixture
def kafka(outage_kafka: LocalKafka) -> LocalKafka:
    """A broker that runs, for tests that stop, kill and start it; it is left to the next one as it is."""
    if outage_kafka.pid is None:
        outage_kafka.start()
    return outage_kafka


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """Takes back what a command that ran in this process made of the logs: its stderr is gone with its test."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def unique() -> str:
    """A prefix for names of topics, groups and workspaces that no other test uses."""
    return f"t{uuid.uuid4().hex[:8]}"


def _answers(bootstrap: str) -> bool:
    try:
        partition_counts(bootstrap, timeout_seconds=1)
    except UnavailableError:
        return False
    return True


def _started_by(run: str) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if process.pid != os.getpid() and _belongs(process, run)]


def _belongs(process: psutil.Process, run: str) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE or "multiprocessing.resource_tracker" in _command_line(process):
            return False  # dead, or Python's own helper, which ends with the interpreter
        return process.environ().get(RUN_VARIABLE) == run or os.getpid() in {each.pid for each in process.parents()}
    except psutil.Error:
        return False


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return str(process.name())
