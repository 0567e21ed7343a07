"""Processors as a test plays them: they read source topics and answer each record as they are told to."""

import threading
import uuid
from typing import Final, NamedTuple, Self

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Message, TopicPartition

from infra.kafka.clients import ensure_topics, producer, reader, warm
from infra.kafka.definitions import publish_plan, publish_view
from infra.kafka.topics import control_topics, workspace_topics
from schemas.definitions.plan import Plan
from schemas.messages.updates import PLAN_HEADER, REPLY_HEADER, ReplyAddress, encode_acks, place_of, plan_of_header
from schemas.topics import acks_topic, source_topic
from tests.ingest_api.harness import Behaviour

STOP_SECONDS: Final = 10.0


def apply(bootstrap: str, plan: Plan) -> Plan:
    """Publishes a plan as ``headrace apply`` does; returns it with the ids that it got."""
    ensure_topics(bootstrap, [*control_topics(1), *workspace_topics(plan, 1)])
    client = producer(bootstrap)
    views = {
        key: msgspec.structs.replace(view, id=publish_view(client, plan.workspace, view, uuid.uuid4().hex))
        for key, view in plan.views.items()
    }
    plan = msgspec.structs.replace(plan, views=views)
    return msgspec.structs.replace(plan, number=publish_plan(client, plan))


class Seen(NamedTuple):
    """A source record with the plan number and the reply that its headers carry."""

    topic: str
    partition: int
    value: bytes
    plan: int
    reply: ReplyAddress


class PlayedProcessors:
    """A thread that answers every record of a plan's sources.

    Args:
        bootstrap: of Kafka.
        plan: whose sources it reads.
        behaviour: what it answers.
    """

    def __init__(self, bootstrap: str, plan: Plan, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.seen: list[Seen] = []
        self._acks = acks_topic(plan.workspace)
        self._consumer = reader(bootstrap)
        self._consumer.assign(
            [
                TopicPartition(source_topic(plan.workspace, source.name), partition, OFFSET_BEGINNING)
                for source in plan.sources.values()
                for partition in range(source.partitions)
            ]
        )
        self._producer = producer(bootstrap)
        warm(self._producer, self._acks)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="played processors")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopping.set()
        self._thread.join(STOP_SECONDS)
        self._consumer.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            message = self._consumer.poll(0.05)
            if message is not None and message.error() is None:
                self._answer(message)
            self._producer.poll(0)

    def _answer(self, message: Message) -> None:
        headers = dict(message.headers() or [])
        reply_header, plan_header = headers[REPLY_HEADER], headers[PLAN_HEADER]
        assert isinstance(reply_header, bytes)
        assert isinstance(plan_header, bytes)
        reply, place = ReplyAddress.of_header(reply_header)
        assert place == place_of(message.topic() or "", message.partition() or 0)
        seen = Seen(
            message.topic() or "",
            message.partition() or 0,
            message.value() or b"",
            plan_of_header(plan_header),
            reply,
        )
        self.seen.append(seen)
        for ack in self.behaviour(seen.topic, reply):
            self._producer.produce(self._acks, encode_acks([ack]), partition=reply.partition)
