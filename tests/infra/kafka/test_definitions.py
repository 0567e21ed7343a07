import threading
from collections.abc import Iterator

import msgspec
import pytest
from confluent_kafka import Producer

from infra.kafka.clients import ensure_topics, produce_checked, producer
from infra.kafka.definitions import DefinitionsLog, publish_plan, publish_view
from infra.kafka.topics import control_topics
from infra.process.ports import LOOPBACK, free_port
from schemas.definitions.plan import Plan, ViewPlan
from schemas.definitions.plan_codec import encode, plan_key, view_key
from schemas.errors import UnavailableError
from schemas.topics import DEFINITIONS_TOPIC
from tests.support.waiting import wait_until

SECONDS = 20.0


def plan_of(workspace: str, **changes: object) -> Plan:
    plan = Plan(workspace, 2, {}, {}, {}, {}, "")
    return msgspec.structs.replace(plan, **changes)


def view_of(name: str) -> ViewPlan:
    return ViewPlan(
        -1, name, "V1", "events", ("user",), "at", (), (), (), (), 0, None, 0, None, online=True, offline=True, code=""
    )


@pytest.fixture
def client(bootstrap: str) -> Producer:
    ensure_topics(bootstrap, control_topics(1))
    return producer(bootstrap)


@pytest.fixture
def definitions(bootstrap: str, client: Producer) -> Iterator[DefinitionsLog]:
    del client  # which has made the topic
    follower = DefinitionsLog(bootstrap)
    follower.start()
    yield follower
    follower.stop()


def test_a_published_plan_reaches_followers_and_calls_them(
    client: Producer, definitions: DefinitionsLog, unique: str
) -> None:
    called = threading.Event()
    definitions.subscribe(called.set)
    definitions.read_to_end(SECONDS)
    called.clear()
    number = publish_plan(client, plan_of(unique))
    definitions.read_to(unique, number, SECONDS)
    plan = definitions.plan(unique)
    assert plan is not None
    assert plan.number == number
    assert unique in definitions.workspaces()
    assert called.wait(SECONDS)


def test_a_view_is_known_by_its_offset_to_its_workspace_alone_for_good(
    client: Producer, definitions: DefinitionsLog, unique: str
) -> None:
    known = definitions.views_of(unique)
    first = publish_view(client, unique, view_of("first"), "a")
    publish_view(client, f"{unique}-other", view_of("other"), "b")
    publish_plan(client, plan_of(unique))
    second = publish_view(client, unique, view_of("second"), "c")
    produce_checked(client, DEFINITIONS_TOPIC, plan_key(unique), None, partition=0)
    definitions.read_to_end(SECONDS)
    assert {view: each.name for view, each in known.items()} == {first: "first", second: "second"}
    assert definitions.plan(unique) is None
    assert unique not in definitions.workspaces()


def test_a_message_that_cannot_be_used_keeps_the_plan_before_it_and_is_told_until_a_newer_one_comes(
    client: Producer, definitions: DefinitionsLog, unique: str
) -> None:
    first = publish_plan(client, plan_of(unique))
    newer = publish_plan(client, plan_of(unique, format=99))
    publish_plan(client, plan_of(f"{unique}-other"))  # a later message of another workspace mends nothing
    definitions.read_to_end(SECONDS)
    kept = definitions.plan(unique)
    assert kept is not None
    assert kept.number == first
    assert definitions.failure is None
    assert "has format 99, expected 3 or 4; upgrade Headrace" in (definitions.unreadable(unique) or "")
    assert definitions.unreadable(f"{unique}-other") is None
    with pytest.raises(UnavailableError, match="upgrade"):
        definitions.read_to(unique, newer, SECONDS)
    publish_plan(client, plan_of(unique))
    definitions.read_to_end(SECONDS)
    assert (definitions.failure, definitions.unreadable(unique)) == (None, None)


@pytest.mark.parametrize("value", [b"\xff\xfe", b"{", b"[]", b"{}"])
def test_junk_under_a_views_key_is_no_view(
    client: Producer, definitions: DefinitionsLog, unique: str, value: bytes
) -> None:
    key = view_key(unique, "v", "V1", "n")
    produce_checked(client, DEFINITIONS_TOPIC, key, value, partition=0)
    definitions.read_to_end(SECONDS)
    assert definitions.views_of(unique) == {}
    produce_checked(client, DEFINITIONS_TOPIC, key, encode(view_of("v")), partition=0)
    definitions.read_to_end(SECONDS)
    assert len(definitions.views_of(unique)) == 1


def test_a_plan_that_was_never_published_is_known_to_be_none(
    client: Producer, definitions: DefinitionsLog, unique: str
) -> None:
    number = publish_plan(client, plan_of(unique))
    definitions.read_to(unique, number + 1_000_000, SECONDS)
    plan = definitions.plan(unique)
    assert plan is not None
    assert plan.number == number
    definitions.read_to(f"{unique}-nobody", 3, SECONDS)
    assert definitions.plan(f"{unique}-nobody") is None


def test_without_kafka_reading_ends_with_what_is_wrong() -> None:
    follower = DefinitionsLog(f"{LOOPBACK}:{free_port()}")
    follower.start()
    try:
        with pytest.raises(UnavailableError, match="check that Kafka runs"):
            follower.read_to_end(0.5)
        wait_until(lambda: follower.failure is not None)
    finally:
        follower.stop()
