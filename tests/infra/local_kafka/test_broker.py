import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import TopicPartition

from infra.kafka.clients import TopicSpec, admin, ensure_topics, producer, reader
from infra.local_kafka.broker import LocalKafka
from infra.process.ports import LOOPBACK
from schemas.errors import SettingsError, StorageError, UnavailableError
from tests.support.waiting import wait_until

pytestmark = pytest.mark.broker  # of its own

START_AND_WAIT = """
import pathlib, sys, threading
from infra.local_kafka.broker import LocalKafka
kafka = LocalKafka(pathlib.Path(sys.argv[1]))
kafka.start()
print(kafka.pid, flush=True)
threading.Event().wait()
"""


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """A broker that runs before and after each test; its cluster id starts with a dash, as one in 64 does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("secrets.token_bytes", lambda size: b"\xfb" * size)
        with LocalKafka(tmp_path_factory.mktemp("kafka, with a space")) as started:
            yield started


def end_offset(kafka: LocalKafka, topic: str) -> int:
    client = reader(kafka.bootstrap, lambda _error: None)
    try:
        return client.get_watermark_offsets(TopicPartition(topic, 0), timeout=20)[1]
    finally:
        client.close()


def test_a_killed_broker_starts_again_with_all_it_acknowledged(kafka: LocalKafka) -> None:
    address, killed = kafka.bootstrap, kafka.pid
    assert killed
    ensure_topics(address, [TopicSpec("events", 1)])
    client = producer(address)
    for number in range(100):
        client.produce("events", str(number).encode())
    assert client.flush(30) == 0
    os.kill(killed, signal.SIGKILL)
    kafka.start()
    assert kafka.bootstrap == address
    assert kafka.pid not in {None, killed}
    assert end_offset(kafka, "events") == 100


def test_a_folder_that_was_copied_serves_under_its_own_id(kafka: LocalKafka) -> None:
    assert admin(kafka.bootstrap).describe_cluster().result(20).cluster_id == "-_v7-_v7-_v7-_v7-_v7-w"


def test_a_running_broker_is_not_started_twice(kafka: LocalKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.local_kafka.broker.KILL_SECONDS", 0.1)
    with pytest.raises(SettingsError, match=f"runs already as process {kafka.pid}"):
        kafka.start()


def test_a_stopped_broker_leaves_no_process_and_can_be_stopped_again(tmp_path: Path) -> None:
    with LocalKafka(tmp_path) as kafka:
        process = psutil.Process(kafka.pid)
        kafka.stop()
        assert not process.is_running()
        assert kafka.pid is None


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"port {port} .* is taken.*--kafka-port"):
            LocalKafka(tmp_path, port).start()


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot write Kafka's data folder .*file"):
        LocalKafka(tmp_path / "file").start()


def test_a_folder_that_cannot_be_formatted_says_why_and_stays_unformatted(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot format .* Invalid value one"):
        LocalKafka(tmp_path, properties={"node.id": "one"}).start()
    assert not (tmp_path / "topics").exists()


def test_a_jvm_that_does_not_start_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"ended with exit code 1 while starting(.|\n)*heap"):
        LocalKafka(tmp_path, heap_mb=1).start()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a process to its parent")
def test_the_broker_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", START_AND_WAIT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        broker = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    wait_until(lambda: not broker.is_running() or broker.status() == psutil.STATUS_ZOMBIE, 10)


def test_the_fixture_is_a_broker_that_takes_topics(bootstrap: str, unique: str) -> None:
    ensure_topics(bootstrap, [TopicSpec(f"{unique}.events", 2)])
