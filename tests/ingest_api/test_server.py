"""The whole process over a real socket with a real Kafka; the test plays the processors."""

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewPartitions  # type: ignore[attr-defined]  # it re-exports this without saying so

from access.store.accounts import AccessStore
from infra.kafka.clients import admin, producer, reader
from infra.local_kafka.broker import LocalKafka
from schemas.avro import schema as avro
from schemas.avro import wire
from schemas.definitions.plan import Plan
from schemas.topics import acks_topic, source_topic
from tests.ingest_api.harness import (
    USER_VIEW,
    Keys,
    api_process,
    authorization,
    ingest_plan,
    make_keys,
    settings_of,
    source_text,
    stored,
    view_text,
)
from tests.ingest_api.played_processors import PlayedProcessors, apply
from tests.support.waiting import wait_until

RECORD = {"timestamp": "2024-01-15T10:30:00Z", "user_id": "u", "amount": 1.5}


@dataclass(frozen=True)
class Running:
    bootstrap: str
    workspace: str
    url: str
    keys: Keys

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=authorization(self.keys.editor), timeout=30)


@pytest.fixture
def running(bootstrap: str, unique: str, tmp_path: Path) -> Iterator[Running]:
    store = AccessStore.open(tmp_path)
    keys = make_keys(store, unique)
    store.close()
    with api_process(settings_of(tmp_path, bootstrap, unique)) as url:
        yield Running(bootstrap, unique, url, keys)


def small_plan(workspace: str, *views: str) -> Plan:
    return ingest_plan(source_text("tx"), *(view_text(name, "tx") for name in views), workspace=workspace)


def is_ready(client: httpx.Client) -> bool:
    return client.get("/readyz").status_code == 200


def knows(client: httpx.Client, source: str) -> bool:
    response = client.post("/api/v1/ingest", json={"records": {source: [RECORD]}, "dry_run": True})
    return response.status_code == 200


def wait_for(client: httpx.Client, source: str) -> None:
    wait_until(lambda: knows(client, source) and is_ready(client))


def test_record_goes_into_kafka_and_its_answer_comes_back(running: Running) -> None:
    with running.client() as client:
        wait_until(lambda: is_ready(client))
        plan = apply(running.bootstrap, small_plan(running.workspace, USER_VIEW))
        wait_for(client, "tx")
        with PlayedProcessors(running.bootstrap, plan, stored(plan)) as processors:
            records = [RECORD | {"user_id": str(i)} for i in range(10)]
            response = client.post("/api/v1/ingest", json={"records": {"tx": records}})
            assert response.status_code == 200
            assert response.json()["sources"] == {
                "tx": {
                    "records": {"total": 10, "failed": 0},
                    "feature_views": {
                        "failed": 0,
                        "results": [{"name": USER_VIEW, "version": "v1", "status": "success"}],
                    },
                }
            }
            schema = avro.parse(plan.sources["tx"].schema)
            assert [wire.unframe(seen.value, schema, None)["user_id"] for seen in processors.seen] == [
                str(i) for i in range(10)
            ]
            assert {wire.schema_id_of(seen.value) for seen in processors.seen} == {7}
            assert {seen.plan for seen in processors.seen} == {plan.number}
            assert len({seen.partition for seen in processors.seen}) == 1


def test_a_source_topic_that_grew_is_written_to_in_all_its_partitions(running: Running) -> None:
    plan = apply(running.bootstrap, small_plan(running.workspace))
    with running.client() as client:
        wait_for(client, "tx")
        assert client.post("/api/v1/ingest", json={"records": {"tx": [RECORD]}}).status_code == 200
        topic = source_topic(running.workspace, "tx")
        grown = admin(running.bootstrap)
        grown.create_partitions([NewPartitions(topic, 8)])[topic].result(10)
        sources = {"tx": msgspec.structs.replace(plan.sources["tx"], partitions=8)}
        apply(running.bootstrap, msgspec.structs.replace(plan, sources=sources))
        consumer = reader(running.bootstrap)

        def all_written() -> bool:
            client.post("/api/v1/ingest", json={"records": {"tx": [RECORD]}})
            at = [TopicPartition(topic, partition) for partition in range(8)]
            return all(consumer.get_watermark_offsets(each, timeout=10)[1] > 0 for each in at)

        try:
            wait_until(all_written)
        finally:
            consumer.close()


def test_calls_at_the_same_time_get_their_own_answers(running: Running) -> None:
    plan = apply(running.bootstrap, small_plan(running.workspace, USER_VIEW))
    statuses: list[int] = []
    with running.client() as client, PlayedProcessors(running.bootstrap, plan, stored(plan)) as processors:
        wait_for(client, "tx")

        def call(number: int) -> None:
            for index in range(20):
                record = RECORD | {"amount": "x"} if (number + index) % 3 == 0 else RECORD
                response = client.post("/api/v1/ingest", json={"records": {"tx": [record]}})
                statuses.append(response.status_code - (207 if (number + index) % 3 == 0 else 200))

        threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == [0] * 160
        assert len({seen.partition for seen in processors.seen}) > 1


def test_answers_of_every_workspace_are_read_and_what_is_no_answer_is_skipped(running: Running) -> None:
    other = f"{running.workspace}b"
    apply(running.bootstrap, small_plan(other))
    plan = apply(running.bootstrap, small_plan(running.workspace, USER_VIEW))
    client = producer(running.bootstrap)
    with running.client() as http, PlayedProcessors(running.bootstrap, plan, stored(plan)):
        wait_for(http, "tx")
        for partition in range(8):
            client.produce(acks_topic(running.workspace), b"garbage", partition=partition)
        assert client.flush(10) == 0
        assert http.post("/api/v1/ingest", json={"records": {"tx": [RECORD]}}).status_code == 200


def test_source_without_views_is_answered_by_kafka_alone(running: Running) -> None:
    apply(running.bootstrap, small_plan(running.workspace))
    with running.client() as client:
        wait_for(client, "tx")
        assert client.post("/api/v1/ingest", json={"records": {"tx": [RECORD]}}).status_code == 200


def test_registry_and_operators_routes_are_mounted(running: Running) -> None:
    with running.client() as client:
        wait_until(lambda: is_ready(client))
        subject = f"{running.workspace}.updates-value"
        registered = client.post(f"/subjects/{subject}/versions", json={"schema": '"string"'})
        assert registered.status_code == 200
        assert registered.headers["X-Request-ID"].startswith("req_")
        assert client.get(f"/subjects/{subject}/versions/latest").json()["id"] == registered.json()["id"]
        viewer = authorization(running.keys.viewer)
        refused = client.post(f"/subjects/{subject}/versions", json={"schema": '"int"'}, headers=viewer)
        assert refused.status_code == 403
        assert client.get(f"/subjects/{subject}/versions/latest", headers=viewer).status_code == 200
        elsewhere = authorization(running.keys.elsewhere)
        assert client.get(f"/subjects/{subject}/versions/latest", headers=elsewhere).status_code == 403
        metrics = client.get("/metrics", headers={"Authorization": ""}).text
        assert 'headrace_http_requests_total{route="/subjects/{_:path}",status="200",workspace=""}' in metrics


@pytest.mark.slow
def test_kafka_that_is_away_hangs_or_dies_is_503_until_it_is_back(kafka: LocalKafka, tmp_path: Path) -> None:
    plan = apply(kafka.bootstrap, small_plan("prod", USER_VIEW))
    kafka.stop()
    store = AccessStore.open(tmp_path)
    keys = make_keys(store)
    store.close()
    settings = settings_of(tmp_path, kafka.bootstrap, "prod", ack_deadline_seconds=4.0)
    with api_process(settings) as url:
        running = Running(kafka.bootstrap, "prod", url, keys)
        with running.client() as client:
            assert_away(client)
            kafka.start()
            wait_for(client, "tx")
            with PlayedProcessors(kafka.bootstrap, plan, stored(plan)):
                assert client.post("/api/v1/ingest", json={"records": {"tx": [RECORD]}}).status_code == 200

            assert kafka.pid is not None
            os.kill(kafka.pid, signal.SIGSTOP)
            unconfirmed = client.post("/api/v1/ingest", json={"records": {"tx": [RECORD]}})
            os.kill(kafka.pid, signal.SIGCONT)
            assert unconfirmed.status_code == 503
            assert "did not confirm" in unconfirmed.json()["error"]["message"]

            kafka.kill()
            wait_until(lambda: not is_ready(client))
            assert_away(client)
            assert knows(client, "tx")

            kafka.start()
            wait_for(client, "tx")
            with PlayedProcessors(kafka.bootstrap, plan, stored(plan)):
                assert client.post("/api/v1/ingest", json={"records": {"tx": [RECORD]}}).status_code == 200


def assert_away(client: httpx.Client) -> None:
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["reasons"]
    response = client.post("/api/v1/ingest", json={"records": {"tx": [RECORD]}})
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "UNAVAILABLE"
    assert response.headers["Retry-After"] == "1"
    assert client.get("/healthz").status_code == 200
