"""The schema registry over its topic: every process follows the same log and so knows the same schemas.

Invariant: `SchemaRegistry.register` answers only with what it has read back from the topic, so an id once given out
is the one that every process gives, also where several registered the same schema at once.

Each registration has a key of its own, so compaction removes none and offsets, from which ids are made, keep their
meaning. The topic is made by whoever comes first.
"""

import time
import uuid
from typing import TYPE_CHECKING, Final

import msgspec

from infra.kafka.clients import ensure_topics, produce_checked, producer, warm
from infra.kafka.topic_follower import TopicFollower
from infra.kafka.topics import control_topics
from infra.logs import get_logger
from schemas.errors import CodecError, NewerFormatError, UnavailableError
from schemas.registry.fold import Registration, Registry, SubjectVersion
from schemas.topics import SCHEMAS_TOPIC

if TYPE_CHECKING:
    from confluent_kafka import Producer

TIMEOUT_SECONDS: Final = 5.0
"""How long a call waits for Kafka unless told otherwise; less than HTTP clients wait for an answer."""

_log = get_logger(__name__)


class SchemaRegistry:
    """Registers and finds Avro schemas; every method may be called from any thread, and blocks that thread only.

    Args:
        bootstrap: ``HOST:PORT``, several joined by commas.
        replication: copies of the topic, if it has to be made.
    """

    def __init__(self, bootstrap: str, *, replication: int = 1) -> None:
        self.known: Final = Registry()
        """What has been read so far; for reading only."""
        self._bootstrap = bootstrap
        self._topics = control_topics(replication)
        self._follower = TopicFollower(bootstrap, SCHEMAS_TOPIC, self._on_record)
        self._topic_ready = False
        self._newer: str | None = None
        self._producer: Producer | None = None  # most processes only read

    @property
    def failure(self) -> str | None:
        """What keeps the registry from knowing all of its topic now, in words, or None."""
        return self._follower.failure or self._newer

    def start(self) -> None:
        """Begins to follow the topic; returns at once, whether Kafka is up or not."""
        self._follower.start()

    def stop(self) -> None:
        """Stops following; calls that wait end with an error."""
        self._follower.stop()

    def register(self, subject: str, schema: str, timeout_seconds: float = TIMEOUT_SECONDS) -> tuple[int, str]:
        """Registers a schema under a subject, unless it is there already; returns its id and GUID.

        Raises:
            RequestError: the text is no Avro schema.
            UnavailableError: Kafka cannot be asked or written to in time; registering again is safe.
        """
        deadline = time.monotonic() + timeout_seconds
        version = self.known.lookup(subject, schema)
        if version is None:
            self.read_to_end(timeout_seconds)
            version = self.known.lookup(subject, schema)
        if version is None:
            self._write(Registration(subject=subject, schema=schema), deadline)
            version = self.known.lookup(subject, schema)
        if version is None:
            raise UnavailableError(f"the registration under {subject!r} was written but not understood; see the log")
        return version.schema.id, version.schema.guid

    def read_to_end(self, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """Reads all that was registered before this call, by any process: what is unknown afterwards does not exist.

        Raises:
            UnavailableError: the end was not reached in time, or a registration is of a later format; nothing can be
                said about unknown schemas.
        """
        deadline = time.monotonic() + timeout_seconds
        self._ensure_topic(timeout_seconds)
        self._follower.read_to_end(_left(deadline))
        if self._newer is not None:
            raise UnavailableError(self._newer)

    def schema_by_id(self, schema_id: int) -> str | None:
        """Returns the text of the schema with this id, as far as read, or None."""
        schema = self.known.schema(schema_id)
        return None if schema is None else schema.text

    def schema_by_guid(self, guid: str) -> str | None:
        """Returns the text of the schema with this GUID, as far as read, or None."""
        schema = self.known.schema_by_guid(guid)
        return None if schema is None else schema.text

    def latest(self, subject: str) -> SubjectVersion | None:
        """Returns the newest version of a subject, as far as read, or None."""
        versions = self.known.versions(subject)
        return versions[-1] if versions else None

    def lookup(self, subject: str, schema: str) -> SubjectVersion | None:
        """Returns the version under which a subject holds this schema, as far as read, or None.

        Raises:
            RequestError: the text is no Avro schema.
        """
        return self.known.lookup(subject, schema)

    def _on_record(self, offset: int, _key: bytes, value: bytes | None) -> None:
        try:
            self.known.register_record(offset, value)
        except NewerFormatError as error:
            # Not skipped: a record of a schema that is not known is a dead letter, and this one is known to others.
            self._newer = f"topic {SCHEMAS_TOPIC}: {error}"
            _log.error("registration of a later format", topic=SCHEMAS_TOPIC, offset=offset, reason=str(error))
        except CodecError as error:
            _log.warning("registration skipped", topic=SCHEMAS_TOPIC, offset=offset, reason=str(error))

    def _ensure_topic(self, timeout_seconds: float) -> None:
        # No lock here and below: several threads at once do too much, harmlessly, and none waits for another's timeout.
        if not self._topic_ready:
            ensure_topics(self._bootstrap, self._topics, timeout_seconds)
            self._topic_ready = True

    def _write(self, registration: Registration, deadline: float) -> None:
        client = self._producer
        if client is None:
            client = producer(self._bootstrap, delivery_timeout_seconds=TIMEOUT_SECONDS)
            warm(client, SCHEMAS_TOPIC, _left(deadline))
            self._producer = client
        key = uuid.uuid4().bytes
        value = msgspec.json.encode(registration)
        offset = produce_checked(client, SCHEMAS_TOPIC, key, value, timeout_seconds=_left(deadline))
        try:
            self._follower.wait_read(offset, _left(deadline))
        except UnavailableError as error:
            raise UnavailableError(f"the registration was written but not read back: {error.message}") from error


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.0)
