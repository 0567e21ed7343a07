"""The two configuration files of the local broker, as text.

Invariant: they name files and folders relative to the data folder, so its path needs no escaping and may change.
"""

from collections.abc import Mapping
from typing import Final

TOPICS_FOLDER: Final = "topics"
LOG_FILE: Final = "broker.log"

MAP_OF_CLEANER_BYTES: Final = 16 << 20
"""Enough for 600,000 keys at once; Kafka's default would take 128 MiB of the heap at start."""

LOG4J2: Final = f"""\
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {LOG_FILE}
appender.file.filePattern = {LOG_FILE}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{ISO8601}}{{UTC}}Z %p %c: %m%n
appender.file.policies.type = Policies
appender.file.policies.start.type = OnStartupTriggeringPolicy
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 10MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 3
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
"""
"""One file per run, at most four of 10 MB."""


def server_properties(address: str, controller_address: str, more: Mapping[str, str]) -> str:
    """Returns ``server.properties`` of one node that is broker and controller, for one developer's machine.

    Args:
        address: ``HOST:PORT`` for clients.
        controller_address: ``HOST:PORT`` for the controller's own traffic.
        more: entries that are added or that replace those here.
    """
    entries = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"PLAINTEXT://{address},CONTROLLER://{controller_address}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.quorum.voters": f"1@{controller_address}",
        "log.dirs": TOPICS_FOLDER,
        # One node: each internal topic has one copy.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        # A broker that was killed may register again only after its old session: 9 s by default.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "auto.create.topics.enable": "false",
        # A few clients, little memory.
        "num.network.threads": "2",
        "num.io.threads": "4",
        "background.threads": "2",
        "log.cleaner.dedupe.buffer.size": str(MAP_OF_CLEANER_BYTES),
    }
    return "".join(f"{name}={value}\n" for name, value in (entries | dict(more)).items())
