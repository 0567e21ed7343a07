"""Ten rounds of kill -9, of processors, servers and the broker under load: every record counts exactly once."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import cast

import httpx
import psutil
import pytest
from rocksdict import AccessType, Options, Rdict

from examples.processes import processes_of
from examples.running import System, running_system
from infra.kafka.definitions import DefinitionsLog
from infra.paths import state_path
from infra.segments.disk import LocalDisk
from processors.logs.offline_log import read_rows
from schemas.definitions.plan import Plan
from schemas.state.keys import encode_join_keys, row_prefix, time_of
from schemas.state.values import VERSION_BYTES, decode, version_bytes
from schemas.topics import source_topic
from tests.support import oracle
from tests.support.system import snowflake_headers, tecton_headers
from tests.support.waiting import wait_until
from tests.system.traffic import TOO_LATE, USERS, Stored, Traffic, in_kafka, micros, post, produce

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
        Aggregate("count", "amount", timedelta(days=30), name="a_count"),
        Aggregate("sum", "amount", timedelta(days=30), name="b_sum"),
        Aggregate("sum", "amount", timedelta(days=1), name="c_sum_of_a_day"),
    ],
)
def spending(record):
    return record


@stream_feature_view(source=events, entities=[user], timestamp_field="at")
def newest(record):
    return record


service = FeatureService(name="spending_service", features=[newest, spending])
"""

DAY = timedelta(days=1) // timedelta(microseconds=1)
COUNT = 1
"""Where the count of 30 days stands among the served features: newest.amount, then those of spending."""

SPENDING = oracle.View(
    0,
    (
        oracle.Feature("a_count", "amount", "count", 30 * DAY),
        oracle.Feature("b_sum", "amount", "sum", 30 * DAY),
        oracle.Feature("c_sum_of_a_day", "amount", "sum", DAY),
    ),
    horizon=TOO_LATE // timedelta(microseconds=1) - DAY,  # events of the test are two days late, or far too late
)
NEWEST = oracle.View(1, (oracle.Feature("amount", "amount"),))
VIEWS = {"spending@V1": SPENDING, "newest@V1": NEWEST}

VICTIMS = ("processor",) * 4 + ("ingest-api",) * 2 + ("serving",) * 2 + ("broker",) * 2
LOAD_SECONDS = 2.0  # between kills
CONFIRMATIONS = 200  # between kills, at least
RECOVERY_SECONDS = 90.0


class Reader:
    """Reads without end: the count of a user's identities may grow and never shrink, whatever is killed."""

    def __init__(self, system: System, seed: int) -> None:
        self.problems: list[str] = []
        self.reads = 0
        self._system = system
        self._random = Random(seed)
        self._seen = dict.fromkeys(USERS, 0)

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            user = self._random.choice(USERS)
            try:
                answer = ask(self._system, user)
            except httpx.HTTPError:
                continue
            if answer.status_code != httpx.codes.OK:
                if answer.status_code not in {429, 503}:
                    self.problems.append(answer.text)
                continue
            self.reads += 1
            count = int(features(answer)[COUNT] or 0)
            if count < self._seen[user]:
                self.problems.append(f"{user} had {self._seen[user]} events, then {count}")
            self._seen[user] = max(count, self._seen[user])


def ask(system: System, user: str) -> httpx.Response:
    body = {"params": {"featureServiceName": "spending_service", "workspaceName": "prod", "joinKeyMap": {"user": user}}}
    url = system.serving + "/api/v1/feature-service/get-features"
    return httpx.post(url, json=body, headers=tecton_headers(system), timeout=30)


def features(answer: httpx.Response) -> list[str | None]:
    values: list[str | None] = answer.json()["result"]["features"]
    return values


def plan_of(system: System) -> Plan:
    definitions = DefinitionsLog(system.kafka)
    definitions.start()
    definitions.read_to_end(20)
    plan = definitions.plan("prod")
    definitions.stop()
    assert plan is not None
    return plan


@contextmanager
def under_load(system: System, plan: Plan, traffic: Traffic, reader: Reader) -> Iterator[None]:
    stop = threading.Event()
    topic = source_topic(plan.workspace, "events")
    headers, ingest = snowflake_headers(system), system.ingest
    threads = [
        threading.Thread(target=post, args=(ingest, headers, traffic, stop)),
        threading.Thread(target=produce, args=(system.kafka, topic, plan.sources["events"], traffic, stop)),
        threading.Thread(target=reader.run, args=(stop,)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def further(traffic: Traffic) -> None:
    """Waits until producers have got a good number of further confirmations over some time."""
    start, before = time.monotonic(), traffic.confirmations
    wait_until(
        lambda: traffic.confirmations > before + CONFIRMATIONS and time.monotonic() - start > LOAD_SECONDS,
        RECOVERY_SECONDS,
    )


def kill(system: System, role: str, random: Random) -> None:
    def alive() -> list[psutil.Process]:
        return processes_of(system, "java" if role == "broker" else role)

    wait_until(lambda: bool(alive()), RECOVERY_SECONDS)  # one that was killed before may not be up again yet
    victim = random.choice(alive())
    victim.kill()
    wait_until(lambda: victim not in alive())


Rows = dict[tuple[int, int, int, int], tuple[str, int, int]]
"""User, event time in µs and amount, by version: append time, partition, offset, index."""


def logged(data: Path, plan: Plan, view: str) -> Rows:
    """The rows of a view as they lie in the offline log; a version that lies there twice must have one value."""
    rows: Rows = {}
    disk = LocalDisk(data)
    for partition in range(plan.partitions):
        for row in read_rows(disk, plan.workspace, partition, plan.views[view].id):
            version = (micros(row["_append_time"]) // 1000, row["_source_partition"], row["_offset"], row["_index"])
            value = (row["user"], micros(row["at"]), row["amount"])
            assert rows.setdefault(version, value) == value, f"two values of one version {version}"
    disk.close()
    return rows


def stored_rows(data: Path, plan: Plan, view: int, users: set[str]) -> dict[tuple[str, int], tuple[bytes, int]]:
    """Version and amount of each identity of a view, as they lie in the databases of a system that is stopped."""
    rows: dict[tuple[str, int], tuple[bytes, int]] = {}
    for partition in range(plan.partitions):
        path = str(state_path(data, plan.workspace, partition))
        database = Rdict(path, Options(raw_mode=True), access_type=AccessType.read_only())
        for user in users:
            prefix = row_prefix(view, encode_join_keys([user]))
            for item in database.items(from_key=prefix):
                key, value = cast("tuple[bytes, bytes]", item)
                if not key.startswith(prefix):
                    break
                at = time_of(key)
                assert (user, at) not in rows, f"{user} lies in two partitions"
                rows[user, at] = value[:VERSION_BYTES], decode(value[VERSION_BYTES:])[0]
        database.close()
    return rows


def events_of(view: oracle.View, records: list[Stored]) -> list[oracle.Event]:
    return [
        oracle.Event(view.id, (event.user,), micros(event.at), (stamp, partition, offset, 0), {"amount": event.amount})
        for stamp, partition, offset, event in records
    ]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_rounds_of_kills_lose_double_and_invent_nothing(tmp_path: Path) -> None:
    seed = int(time.time())
    print(f"seed {seed}")  # noqa: T201 - pytest shows it if the test fails; kills and events are drawn by it
    random = Random(seed)
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "events.py").write_text(REPOSITORY)
    traffic = Traffic(seed)
    with running_system(
        tmp_path / "data", "--processors", "2", "--ack-deadline-seconds", "1.5", "--repo", str(repository)
    ) as system:
        plan = plan_of(system)
        reader = Reader(system, seed)
        with under_load(system, plan, traffic, reader):
            further(traffic)
            for victim in random.sample(VICTIMS, len(VICTIMS)):
                kill(system, victim, random)
                further(traffic)
        assert not reader.problems
        assert reader.reads > len(USERS)
        wait_until(lambda: bool(processes_of(system, "java")), RECOVERY_SECONDS)
        topic, source = source_topic(plan.workspace, "events"), plan.sources["events"]

        def settled() -> bool:
            """Whether the logs have a row of each record, those included that nobody was told of."""
            wanted = rows_of(in_kafka(system.kafka, topic, source)).keys()
            return all(logged(system.data, plan, view).keys() == wanted for view in VIEWS)

        wait_until(settled, RECOVERY_SECONDS)
        records = in_kafka(system.kafka, topic, source)
        assert traffic.acked <= {record.event for record in records}, "acked, and not in Kafka"
        for view in VIEWS:
            assert logged(system.data, plan, view) == rows_of(records)
        for user in USERS:
            wanted = answers(records, user)
            wait_until(lambda u=user, w=wanted: features(ask(system, u)) == w, RECOVERY_SECONDS)  # type: ignore[misc] # mypy does not infer defaults of lambdas
    recent = micros(datetime.now(UTC)) - 5 * DAY  # what is older than the grace and superseded may be swept
    for name, oracle_view in VIEWS.items():
        winners = oracle.winners(oracle_view, events_of(oracle_view, records)).values()
        wins = {(e.key[0], e.time): (version_bytes(*e.version), e.values["amount"]) for e in winners}
        lying = stored_rows(system.data, plan, plan.views[name].id, set(USERS))
        assert lying.items() <= wins.items()
        assert {identity for identity in wins if identity[1] > recent} <= lying.keys()


def rows_of(records: list[Stored]) -> Rows:
    return {
        (append_time, partition, offset, 0): (event.user, micros(event.at), event.amount)
        for append_time, partition, offset, event in records
    }


def answers(records: list[Stored], user: str) -> list[str | None]:
    """What a read must give now, by the oracle over all that lies in Kafka."""
    now = micros(datetime.now(UTC))
    found = [
        value for view in (NEWEST, SPENDING) for value in oracle.answer(view, events_of(view, records), (user,), now)[0]
    ]
    return [None if value is None else str(value) for value in found]
