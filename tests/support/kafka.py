"""The broker that tests talk to: one for all workers of a run, of the version that ships, with and without Docker."""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from infra.local_kafka.broker import LocalKafka
from infra.local_kafka.jars import KAFKA_VERSION
from infra.process.ports import LOOPBACK, free_port

BROKER_VARIABLE: Final = "HEADRACE_TEST_BOOTSTRAP"
"""Names a broker to use instead of starting one."""

DOCKER_VARIABLE: Final = "HEADRACE_TEST_DOCKER"
"""Set to anything, it has the broker run in Docker: the same version as the one that ships."""

START_SECONDS: Final = 60.0


class SharedBroker:
    """The broker of all workers, started while they collect.

    Its thread lives as long as it: Linux ends a child that is tied to its parent with the thread that started it.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="headrace-kafka-")
        self._kafka = LocalKafka(Path(self._folder.name), free_port())
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shared broker", daemon=True)
        os.environ[BROKER_VARIABLE] = self._kafka.bootstrap
        self._thread.start()

    def _run(self) -> None:
        with self._kafka:
            self._ended.wait()

    def stop(self) -> None:
        """Ends the broker and forgets its data."""
        self._ended.set()
        self._thread.join(START_SECONDS)
        os.environ.pop(BROKER_VARIABLE)
        self._folder.cleanup()


@contextmanager
def kafka_in_docker() -> Iterator[str]:
    """Runs a broker of the shipped version in a container and yields its address; it may not answer yet."""
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - asks for Docker as it is imported

    port = free_port()
    container = DockerContainer(f"apache/kafka:{KAFKA_VERSION}").with_bind_ports(9092, port)
    for name, value in {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{LOOPBACK}:{port}",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
    }.items():
        container.with_env(name, value)
    with container:
        yield f"{LOOPBACK}:{port}"
