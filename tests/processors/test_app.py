"""A processor process as operators meet it: outages of Kafka, stops, failures, exit codes."""

import signal
import struct
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined] # it re-exports this without saying so

from access.store.accounts import AccessStore
from infra.kafka.clients import admin
from infra.local_kafka.broker import LocalKafka
from infra.paths import in_flight_path
from infra.process.exit_codes import ExitCode
from processors.consumer.batches import Batch
from processors.materialize.worker import MaterializeWorker
from processors.transform.worker import TransformWorker
from schemas.topics import dead_letter_topic, source_topic
from tests.ingest_api.harness import api_process, authorization, make_keys
from tests.support.site import (
    SOURCE,
    ProcessorThread,
    Site,
    event,
    kept_running,
    processor,
    processor_process,
    spending,
)
from tests.support.waiting import wait_until

POISON = """if record["user"] == "poison":
        import ctypes
        ctypes.string_at(0)
    if record["user"] == "exit":
        import os
        os._exit(9)
    if record["user"] == "loop":
        while True: pass
    return record"""


@pytest.mark.slow
def test_kafka_may_be_away_at_the_start_and_in_the_middle(kafka: LocalKafka, unique: str, tmp_path: Path) -> None:
    kafka.kill()
    site = Site(kafka.bootstrap, unique, tmp_path)
    settings = site.settings()
    running = ProcessorThread(settings)
    try:
        wait_until(lambda: "waiting for Kafka" in (running.reasons() or {}).get("startup", ""))
        kafka.start()
        running.wait_ready()
        site.apply(spending())
        site.produce(event("ann", 1))
        site.waits_for({"ann": (1, 1)})
        kafka.kill()
        wait_until(lambda: {"definitions", "transform", "materialize"} <= (running.reasons() or {}).keys())
        kafka.start()
        running.wait_ready()
        site.produce(event("ann", 2))
        site.waits_for({"ann": (2, 3)})
        kafka.kill()
        wait_until(lambda: "transform" in (running.reasons() or {}))
    finally:
        code = running.stop()  # within its time, though nothing can be committed
    assert code == ExitCode.OK


@pytest.mark.slow
def test_kafka_that_goes_away_in_the_middle_of_work_is_an_outage_that_ends_by_itself(
    kafka: LocalKafka, unique: str, tmp_path: Path
) -> None:
    site = Site(kafka.bootstrap, unique, tmp_path)
    site.apply(spending("__import__('time').sleep(0.001)\n    return record"))
    amounts = range(4_000)
    site.produce(*(event("ann", amount) for amount in amounts))
    patience = 3.0
    with processor_process(site, watchdog_seconds=patience) as running:
        running.wait_ready()
        wait_until(lambda: bool(site.counted("ann")))
        kafka.kill()
        wait_until(lambda: "deliveries" in (running.reasons() or {}))
        longer = time.monotonic() + 2 * patience
        wait_until(lambda: running.has_ended() or time.monotonic() > longer)
        assert not running.has_ended(), running.log
        kafka.start()
        running.wait_ready()
        site.waits_for({"ann": (len(amounts), sum(amounts))})
        assert running.stop() == ExitCode.OK, running.log


def test_a_stop_under_load_ends_in_time_with_0_and_loses_nothing(site: Site) -> None:
    site.apply(spending())
    stop = threading.Event()
    produced: list[int] = []

    def load() -> None:
        while not stop.is_set():
            amount = len(produced) + 1
            site.produce(*[event("ann", amount) for _ in range(50)], partition=amount % 2)
            produced.append(amount)

    thread = threading.Thread(target=load)
    with processor_process(site) as first:
        first.wait_ready()
        thread.start()
        try:
            wait_until(lambda: len(produced) > 20)
            assert first.stop() == ExitCode.OK, first.log
        finally:
            stop.set()
            thread.join()
    with processor(site):
        site.waits_for({"ann": (50 * len(produced), 50 * sum(produced))})


@pytest.mark.parametrize("owner", [TransformWorker, MaterializeWorker])
def test_an_error_nobody_thought_of_ends_the_process_with_1_and_a_traceback(
    site: Site,
    owner: type[TransformWorker] | type[MaterializeWorker],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    site.apply(spending())
    right = owner.process

    async def wrong(_self: object, batch: Batch) -> None:
        if batch.messages:
            raise RuntimeError("nobody thought of this")
        batch.done()

    monkeypatch.setattr(owner, "process", wrong)
    with processor(site) as running:
        site.produce(event("ann", 1))
        assert running.wait(30) == ExitCode.FAILURE
    assert "nobody thought of this" in (said := capsys.readouterr().out)
    assert "Traceback" in said
    monkeypatch.setattr(owner, "process", right)
    with processor(site):
        site.waits_for({"ann": (1, 1)})


@pytest.mark.slow
def test_a_message_that_kafka_does_not_take_ends_the_process_and_its_batch_is_made_again(site: Site) -> None:
    site.apply(spending())
    lost = dead_letter_topic(site.workspace, SOURCE)
    client = admin(site.bootstrap)
    client.delete_topics([lost])[lost].result(10)
    wait_until(lambda: lost not in client.list_topics(timeout=5).topics)
    with processor(site) as running:
        site.produce(b"junk", event("ann", 1))
        assert running.wait(60) == ExitCode.UNAVAILABLE
    client.create_topics([NewTopic(lost, 1)])[lost].result(10)
    with processor(site):
        site.waits_for({"ann": (1, 1)})
        wait_until(lambda: len(site.dead_letters()) == 1)


def test_a_record_alone_in_flight_at_a_death_runs_alone_and_the_others_as_usual(site: Site) -> None:
    site.apply(spending(POISON))
    marker = in_flight_path(site.data, source_topic(site.workspace, SOURCE), 0)
    marker.parent.mkdir(parents=True)
    marker.write_bytes(struct.pack("<QQ", 1, 2))  # as a process leaves it that dies of the record at offset 1
    with processor(site):
        site.produce(event("ann", 1), event("exit", 1), event("ann", 2))
        site.waits_for({"ann": (2, 3), "exit": (0, 0)})
        wait_until(lambda: len(site.dead_letters()) == 1)
    assert b"exit" in (site.dead_letters()[0].value() or b"")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_records_that_kill_end_as_dead_letters_and_those_around_them_count(site: Site) -> None:
    site.apply(spending(POISON))
    users = ["ann", "poison", "ann", "exit", "ann", "loop", "ann"]
    with kept_running(site, watchdog_seconds=5.0) as codes:
        site.produce(*[event(user, 1) for user in users])
        site.waits_for({"ann": (4, 4)}, seconds=150)
        wait_until(lambda: len({letter.value() for letter in site.dead_letters()}) == 3)
    assert set(codes) == {-signal.SIGSEGV, 9, ExitCode.STUCK}
    assert site.logged() == {"ann": [1]}


def test_two_installations_on_one_kafka_process_everything_and_answer_their_own_callers(
    site: Site, tmp_path: Path
) -> None:
    site.apply(spending())
    other = Site(site.bootstrap, site.workspace, tmp_path / "other", plans=site.plans)
    settings = [
        replace(each.settings(), ingest_port=0, ack_deadline_seconds=seconds)
        for each, seconds in ((site, 30.0), (other, 2.0))
    ]
    clients = []
    with ExitStack() as stack:
        stack.enter_context(processor(site))
        for each in settings:
            store = AccessStore.open(each.data)
            key = make_keys(store, site.workspace).editor
            store.close()
            url = stack.enter_context(api_process(each))
            headers = authorization(key)
            clients.append(stack.enter_context(httpx.Client(base_url=url, headers=headers, timeout=60)))
            wait_until(lambda: clients[-1].get("/readyz").is_success)

        def ingest(client: httpx.Client, amount: int) -> int:
            record = {"user": "ann", "amount": amount, "at": datetime.now(UTC).isoformat()}
            return client.post("/api/v1/ingest", json={"records": {SOURCE: [record]}}).status_code

        assert ingest(clients[0], 1) == 200
        assert ingest(clients[1], 10) != 200  # it is stored there, but not in the state that this caller reads
        stack.enter_context(processor(other))
        wait_until(lambda: ingest(clients[1], 0) == 200)
        assert ingest(clients[0], 100) == 200
        wait_until(lambda: site.counted("ann")["ann"][1] == other.counted("ann")["ann"][1] == 111)
