"""Two processors under load; kill -9 of one, of the other, of the broker: every acked record counts exactly once."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
import pytest
from confluent_kafka import KafkaError, Message, Producer

from infra.definitions import DefinitionsFollower
from infra.disk import LocalDisk
from processors.offline_log import read_rows
from schemas import avro
from schemas.plan import Plan
from schemas.topics import source_topic
from tests.system.running import Running, running
from tests.waiting import wait_until

REPOSITORY = """
from datetime import timedelta

from headrace import (
    Aggregate, Entity, FeatureService, Field, Int64, StreamSource, String, Timestamp, stream_feature_view
)

events = StreamSource(
    name="events",
    schema=[Field("user", String), Field("amount", Int64), Field("at", Timestamp)],
    timestamp_field="at",
    log_offline=True,
)
user = Entity(name="user", join_keys=[Field("user", String)])


@stream_feature_view(
    source=events,
    entities=[user],
    timestamp_field="at",
    features=[
        Aggregate("count", "amount", timedelta(days=1), name="n"),
        Aggregate("sum", "amount", timedelta(days=1), name="total"),
    ],
)
def spending(record):
    return record


service = FeatureService(name="spending_service", features=[spending])
"""

USERS = 40
LOAD_SECONDS = 6.0  # between kills
RECOVERY_SECONDS = 90.0


class Acked:
    """What producers were told is stored: amounts by (user, event time in µs)."""

    def __init__(self) -> None:
        self.amounts: dict[tuple[str, int], int] = {}
        self._lock = threading.Lock()
        self._serial = 0
        self._base = datetime.now(UTC) - timedelta(hours=1)

    def next_event(self) -> tuple[str, datetime, int]:
        with self._lock:
            self._serial += 1
            return f"user{self._serial % USERS}", self._base + timedelta(microseconds=self._serial), self._serial

    def add(self, user: str, at: datetime, amount: int) -> None:
        with self._lock:
            self.amounts[user, micros(at)] = amount


def micros(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def post(system: Running, acked: Acked, stop: threading.Event) -> None:
    """Posts batches over HTTP; sends each again until all its records are acked, as clients are told to."""
    url = system.addresses["ingest"] + "/api/v1/ingest"
    with httpx.Client(headers=system.snowflake_headers, timeout=30) as client:
        while not stop.is_set():
            events = [acked.next_event() for _ in range(5)]
            records = [{"user": user, "at": at.isoformat(), "amount": amount} for user, at, amount in events]
            while not stop.is_set():
                try:
                    answer = client.post(url, json={"records": {"events": records}})
                except httpx.HTTPError:
                    continue
                assert answer.status_code in {200, 207, 429, 503}, answer.text
                if answer.status_code == 200:
                    for event in events:
                        acked.add(*event)
                    break


def produce(bootstrap: str, plan: Plan, acked: Acked, stop: threading.Event) -> None:
    """Writes Avro straight to Kafka; a record counts as acked once Kafka has confirmed it."""
    source = plan.sources["events"]
    schema = avro.parse(source.schema)
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "log_level": 0})

    def confirmed(event: tuple[str, datetime, int]) -> Callable[[KafkaError | None, Message], None]:
        return lambda error, _message: acked.add(*event) if error is None else None

    topic = source_topic(plan.workspace, "events")
    while not stop.is_set():
        for _ in range(5):
            event = acked.next_event()
            user, at, amount = event
            value = avro.frame(source.schema_id, schema, {"user": user, "at": at, "amount": amount})
            producer.produce(topic, value, on_delivery=confirmed(event))
        producer.poll(0.02)
    assert producer.flush(60) == 0


def kill(process: psutil.Process) -> None:
    process.kill()
    wait_until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)


def served(system: Running, user: str) -> list[object]:
    body = {"params": {"featureServiceName": "spending_service", "workspaceName": "prod", "joinKeyMap": {"user": user}}}
    url = system.addresses["serving"] + "/api/v1/feature-service/get-features"
    answer = httpx.post(url, json=body, headers=system.tecton_headers, timeout=30)
    assert answer.status_code == 200, answer.text
    features: list[object] = answer.json()["result"]["features"]
    return features


def logged(data: Path, plan: Plan) -> dict[tuple[str, int], int]:
    """The winning amount of each identity in the offline log."""
    winners: dict[tuple[str, int], tuple[tuple[object, ...], int]] = {}
    disk = LocalDisk(data)
    for partition in range(plan.partitions):
        for row in read_rows(disk, plan.workspace, partition, plan.views["spending@V1"].id):
            version = tuple(row[name] for name in ("_append_time", "_source_partition", "_offset", "_index"))
            identity = (row["user"], micros(row["at"]))
            winners[identity] = max(winners.get(identity, (version, row["amount"])), (version, row["amount"]))
    disk.close()
    return {identity: amount for identity, (_, amount) in winners.items()}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_kills_of_processors_and_broker_lose_and_double_nothing(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "events.py").write_text(REPOSITORY)
    with running(tmp_path, "--processors", "2", "--repo", str(repository)) as system:
        definitions = DefinitionsFollower(system.addresses["kafka"])
        definitions.start()
        definitions.wait_caught_up(20)
        plan = definitions.plan("prod")
        definitions.stop()
        assert plan is not None
        acked, stop = Acked(), threading.Event()
        loads = [
            threading.Thread(target=post, args=(system, acked, stop)),
            threading.Thread(target=produce, args=(system.addresses["kafka"], plan, acked, stop)),
        ]
        for load in loads:
            load.start()
        try:
            first, second = (each.pid for each in system.children("processor"))
            under_load(acked)
            kill(psutil.Process(first))
            under_load(acked)
            kill(psutil.Process(second))
            under_load(acked)
            kill(system.brokers()[0])
            wait_until(lambda: bool(system.brokers()), RECOVERY_SECONDS)
            under_load(acked)
        finally:
            stop.set()
            for load in loads:
                load.join()
        amounts = acked.amounts
        assert len(amounts) > 1_000

        def caught_up() -> bool:
            return set(amounts) <= set(logged(system.data, plan))

        wait_until(caught_up, RECOVERY_SECONDS)
        in_log = logged(system.data, plan)
        assert {identity: in_log[identity] for identity in amounts} == amounts
        # What was sent but never confirmed may be there too; nothing else may, and nothing twice.
        by_user = defaultdict(list)
        for (user, _), amount in in_log.items():
            by_user[user].append(amount)
        for user, of_user in by_user.items():
            wait_until(lambda u=user, s=of_user: served(system, u) == [str(len(s)), str(sum(s))], RECOVERY_SECONDS)  # type: ignore[misc] # mypy does not infer defaults of lambdas


def under_load(acked: Acked) -> None:
    """Waits until producers have got a good number of further confirmations over some time."""
    start, before = time.monotonic(), len(acked.amounts)
    wait_until(lambda: len(acked.amounts) > before + 500 and time.monotonic() - start > LOAD_SECONDS, RECOVERY_SECONDS)
