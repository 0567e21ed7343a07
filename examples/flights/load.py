"""Sends flights, in the order of their time: half through the ingest API, half from a stock Kafka producer.

Invariant: each flight is sent by one way only, and what became of it is counted: by its answer, or by its delivery.
"""

import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final

import httpx
import msgspec
from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from examples.flights.data import Flight
from examples.flights.system import SOURCE, TOPIC
from examples.running import System

PATH: Final = "/api/v1/ingest"
RECORDS_PER_REQUEST: Final = 10
CONNECTIONS: Final = 4
TIMEOUT_SECONDS: Final = 30.0
ATTEMPTS: Final = 10
BUSY: Final = (429, 503)
FLUSH_SECONDS: Final = 60.0

ACKNOWLEDGED: Final = "acknowledged"
DELIVERED: Final = "delivered to Kafka"


@dataclass(slots=True)
class Sent:
    """What was sent.

    Attributes:
        outcomes: records by what became of them.
        ack_seconds: how long each ingest request took.
        started: when sending began, by ``time.perf_counter``.
    """

    started: float = field(default_factory=time.perf_counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    ack_seconds: list[float] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def count(self, outcomes: Mapping[str, int]) -> None:
        """Adds outcomes; safe to call from several threads."""
        with self._lock:
            self.outcomes.update(outcomes)

    @property
    def taken(self) -> int:
        """Returns how many records were taken."""
        return self.outcomes[ACKNOWLEDGED] + self.outcomes[DELIVERED]

    def problems(self, flights: int) -> list[str]:
        """Returns what is wrong if not all flights, ``flights`` in number, were taken."""
        refused = {name: count for name, count in self.outcomes.items() if name not in (ACKNOWLEDGED, DELIVERED)}
        missing = flights - self.outcomes.total()
        found = [f"{count:,} flights: {name}" for name, count in refused.items()]
        return [*found, f"{missing:,} flights without an outcome"] if missing else found


def send(
    flights: Sequence[Flight],
    system: System,
    on_ack: Callable[[Sequence[Flight]], None],
    on_produce: Callable[[Flight], None],
) -> Sent:
    """Sends all flights; returns when each has its answer.

    Args:
        flights: what to send.
        system: where to.
        on_ack: called with each request's flights when they are acknowledged, in any thread.
        on_produce: called with each flight just before the producer gets it, in any thread.
    """
    sent = Sent()
    step = 2 * RECORDS_PER_REQUEST
    waiting = deque(flights[start : start + step] for start in range(0, len(flights), step))
    producer = DirectProducer(system, sent)

    def send_waiting() -> None:
        with _client(system) as client, contextlib.suppress(IndexError):
            while True:
                batch = waiting.popleft()
                for flight in batch[1::2]:
                    on_produce(flight)
                    producer.produce(flight)
                _ingest(client, batch[::2], sent)
                on_ack(batch[::2])

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        for connection in [threads.submit(send_waiting) for _ in range(CONNECTIONS)]:
            connection.result()
    producer.flush()
    return sent


def is_taken(system: System, flight: Flight) -> bool:
    """Returns whether the ingest API knows the source already; writes nothing."""
    body = msgspec.json.encode({"records": {SOURCE: [flight]}, "dry_run": True})
    with _client(system) as client:
        return client.post(PATH, content=body).status_code == httpx.codes.OK


class DirectProducer:
    """A confluent-kafka producer with its own Avro serializer: all it knows of Headrace are addresses and a key."""

    def __init__(self, system: System, sent: Sent) -> None:
        registry = SchemaRegistryClient({"url": system.registry, "basic.auth.user.info": f"demo:{system.key}"})
        options = {"auto.register.schemas": False, "use.latest.version": True}
        self._serialize = AvroSerializer(registry, to_dict=_as_dict, conf=options)
        self._context = SerializationContext(TOPIC, MessageField.VALUE)
        self._producer = Producer({"bootstrap.servers": system.kafka, "enable.idempotence": True, "linger.ms": 5})
        self._sent = sent

    def produce(self, flight: Flight) -> None:
        """Hands a flight to the producer, keyed by its aircraft; safe to call from several threads."""
        value = self._serialize(flight, self._context)
        self._producer.produce(TOPIC, value, flight.tail_number, on_delivery=self._delivered)
        self._producer.poll(0)

    def flush(self) -> None:
        """Waits until every flight was delivered or given up."""
        left = self._producer.flush(FLUSH_SECONDS)
        if left:
            self._sent.count({"not delivered in time": left})

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        self._sent.count({DELIVERED if error is None else error.name(): 1})


def _as_dict(flight: Flight, _context: SerializationContext) -> dict[str, Any]:
    return msgspec.structs.asdict(flight)


def _client(system: System) -> httpx.Client:
    headers = {"Authorization": f'Snowflake Token="{system.key}"', "Content-Type": "application/json"}
    return httpx.Client(base_url=system.ingest, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False)


def _ingest(client: httpx.Client, flights: Sequence[Flight], sent: Sent) -> None:
    """Sends one request, again while the server is busy: sending an event twice never counts it twice."""
    body = msgspec.json.encode({"records": {SOURCE: flights}})
    for _ in range(ATTEMPTS):
        started = time.perf_counter()
        answer = client.post(PATH, content=body)
        sent.ack_seconds.append(time.perf_counter() - started)
        if answer.status_code not in BUSY:
            break
        time.sleep(float(answer.headers.get("Retry-After", 1)))
    sent.count(_outcomes(answer, len(flights)))


def _outcomes(answer: httpx.Response, records: int) -> Counter[str]:
    """Returns what became of a request's records; a view that failed spoils them all."""
    if not answer.is_success:
        return Counter({f"HTTP {answer.status_code}: {answer.text}": records})
    result = answer.json()["sources"][SOURCE]
    errors = [error["error"]["code"] for error in result["records"].get("errors", ())]
    failed = [view for view in result["feature_views"]["results"] if view["status"] != "success"]
    rest = f"{failed[0]['name']}: {failed[0]['error']['code']}" if failed else ACKNOWLEDGED
    return Counter(errors) + Counter({rest: records - len(errors)})
