import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from infra.kafka import schema_registry
from infra.kafka.clients import produce_checked, producer
from infra.kafka.schema_registry import SchemaRegistry
from infra.kafka.topic_follower import OnRecord
from infra.process.ports import LOOPBACK, free_port
from schemas.errors import RequestError, UnavailableError
from schemas.topics import SCHEMAS_TOPIC


def schema(name: str) -> str:
    return json.dumps({"type": "record", "name": name, "fields": [{"name": "x", "type": "long"}]})


@pytest.fixture
def registries(bootstrap: str) -> Iterator[tuple[SchemaRegistry, SchemaRegistry]]:
    """Two registries on one topic, as two processes have them."""
    pair = SchemaRegistry(bootstrap), SchemaRegistry(bootstrap)
    for registry in pair:
        registry.start()
    yield pair
    for registry in pair:
        registry.stop()


def test_what_one_registers_the_other_knows_once_it_has_read_to_the_end(
    registries: tuple[SchemaRegistry, SchemaRegistry], unique: str
) -> None:
    one, other = registries
    schema_id, guid = one.register(f"{unique}-value", schema(unique))
    other.read_to_end(30)
    assert other.schema_by_id(schema_id) == schema(unique)
    assert other.schema_by_guid(guid) == schema(unique)
    latest = other.latest(f"{unique}-value")
    assert latest is not None
    assert (latest.version, latest.schema.id, latest.schema.guid) == (1, schema_id, guid)
    assert other.lookup(f"{unique}-value", schema(unique)) is latest
    assert other.failure is None


def test_what_nobody_registered_is_unknown_after_the_end(
    registries: tuple[SchemaRegistry, SchemaRegistry], unique: str
) -> None:
    registry = registries[0]
    registry.read_to_end(30)
    assert registry.schema_by_id(2**31) is None
    assert registry.schema_by_guid("") is None
    assert registry.latest(unique) is None
    assert registry.lookup(unique, schema(unique)) is None


def test_registering_again_writes_nothing(registries: tuple[SchemaRegistry, SchemaRegistry], unique: str) -> None:
    one, other = registries
    first = one.register(unique, schema(unique))
    assert other.register(unique, schema(unique)) == first
    next_id, _ = one.register(unique, schema(f"{unique}_2"))
    assert next_id == first[0] + 1


def test_racing_registrations_get_the_same_ids_and_versions(
    registries: tuple[SchemaRegistry, SchemaRegistry], unique: str
) -> None:
    names = [f"{unique}_{number}" for number in range(5)]
    start = threading.Barrier(10)

    def register(registry: SchemaRegistry, name: str) -> tuple[int, str]:
        start.wait(30)
        return registry.register(unique, schema(name), 30)

    with ThreadPoolExecutor(10) as threads:
        answers = {name: [threads.submit(register, registry, name) for registry in registries] for name in names}
        ids = {name: {future.result() for future in futures} for name, futures in answers.items()}
    assert all(len(found) == 1 for found in ids.values())
    assert len(set.union(*ids.values())) == 5
    for registry in registries:
        registry.read_to_end(30)
    one, other = (registry.known.versions(unique) for registry in registries)
    assert one == other
    assert [each.version for each in one] == [1, 2, 3, 4, 5]
    assert {each.schema.id for each in one} == {schema_id for found in ids.values() for schema_id, _ in found}


def test_a_stray_record_in_the_topic_is_skipped(
    registries: tuple[SchemaRegistry, SchemaRegistry], bootstrap: str, unique: str
) -> None:
    registry = registries[0]
    registry.read_to_end(30)
    stray = produce_checked(producer(bootstrap), SCHEMAS_TOPIC, unique.encode(), b"not a registration")
    schema_id, _ = registry.register(unique, schema(unique))
    assert schema_id > stray + 1
    assert registry.schema_by_id(stray + 1) is None


def test_what_is_no_schema_never_reaches_the_topic(
    registries: tuple[SchemaRegistry, SchemaRegistry], unique: str
) -> None:
    registry = registries[0]
    with pytest.raises(RequestError, match="not an Avro schema"):
        registry.register(unique, '{"type":"record"}')
    assert registry.register(unique, schema(unique))[0] == registry.register(f"{unique}2", schema(unique))[0]


def test_without_kafka_calls_that_need_it_fail_in_time() -> None:
    registry = SchemaRegistry(f"{LOOPBACK}:{free_port()}")
    registry.start()
    try:
        with pytest.raises(UnavailableError, match="check that Kafka runs"):
            registry.register("subject", schema("a"), 0.3)
        with pytest.raises(UnavailableError, match="check that Kafka runs"):
            registry.read_to_end(0.3)
        assert registry.schema_by_id(1) is None
    finally:
        registry.stop()


class Log:
    """Stands for what follows the topic, which other tests share: one registration, and one of a later release."""

    failure: Final = None

    def __init__(self, _bootstrap: str, _topic: str, on_record: OnRecord) -> None:
        self._on_record = on_record

    def read_to_end(self, _timeout_seconds: float) -> None:
        self._on_record(0, b"", json.dumps({"subject": "s", "schema": schema("a")}).encode())
        self._on_record(1, b"", b'{"format": 2, "subjects": ["s"]}')


def test_no_schema_is_called_unknown_where_a_later_release_has_registered_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_registry, "TopicFollower", Log)
    monkeypatch.setattr(schema_registry, "ensure_topics", lambda *_arguments: None)
    registry = SchemaRegistry("nowhere")
    for _ in range(2):
        with pytest.raises(UnavailableError, match="offset 1 holds a registration of format 2, expected 1; upgrade"):
            registry.read_to_end()
    with pytest.raises(UnavailableError, match="upgrade Headrace"):
        registry.register("s", schema("b"))
    assert "upgrade Headrace" in str(registry.failure)
    assert registry.schema_by_id(1) == schema("a")
