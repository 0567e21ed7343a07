"""Records of a source decoded for people, whichever of its schemas they were written with.

Invariant: a record is shown as views get it, in the source's own schema; one that no view can see is told with why.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.kafka.topic_follower import TopicFollower
from schemas.avro import schema as avro
from schemas.avro import wire
from schemas.definitions.plan import SourcePlan
from schemas.errors import CodecError, UnavailableError
from schemas.registry.fold import Registry
from schemas.topics import SCHEMAS_TOPIC

PAUSE_SECONDS: Final = 5.0
"""Between two readings of the registry."""

TextOf = Callable[[int], str | None]
"""Returns the text of the schema with an id; None if there is none."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A record, or why it is none."""

    record: Mapping[str, Any] | None
    problem: str = ""

    def document(self) -> dict[str, Any]:
        """Returns it as it is told as JSON."""
        return {"record": self.record, "problem": self.problem}


class RecordDecoder:
    """Decodes records of one source.

    Args:
        source: the source, as it was applied.
        text_of: asked for the schemas of other ids than the source's own, once each.
    """

    def __init__(self, source: SourcePlan, text_of: TextOf) -> None:
        self._own = source.schema_id
        self._reader = avro.parse(source.schema)
        self._text_of = text_of
        self._writers: dict[int, avro.ParsedSchema] = {}

    def __call__(self, value: bytes) -> Decoded:
        """Decodes the value of a record."""
        try:
            number = wire.schema_id_of(value)
            if number == self._own:
                return Decoded(wire.unframe(value, self._reader, None))
            return Decoded(wire.unframe(value, self._writer(number), self._reader))
        except (CodecError, UnavailableError) as error:
            return Decoded(None, error.message)

    def _writer(self, number: int) -> avro.ParsedSchema:
        if number not in self._writers:
            text = self._text_of(number)
            if text is None:
                raise CodecError(f"schema id {number} is not in the registry")
            self._writers[number] = avro.parse(text)
        return self._writers[number]


class SchemaTexts:
    """The registry's schemas, read when the first is asked for, and again, now and then, for one that is not there.

    Args:
        bootstrap: ``HOST:PORT``, several joined by commas.
        seconds: how long one reading may take.
        clock: in seconds.
    """

    def __init__(self, bootstrap: str, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._bootstrap = bootstrap
        self._seconds = seconds
        self._clock = clock
        self._known = Registry()
        self._next_read = -math.inf  # records may name any number of ids that there are not

    def __call__(self, number: int) -> str | None:
        """Returns the text of a schema; None if the registry, read to its end, does not have it.

        Raises:
            UnavailableError: it cannot be read in time.
        """
        if self._known.schema(number) is None and self._clock() >= self._next_read:
            self._known = self._read()
            self._next_read = self._clock() + PAUSE_SECONDS
        found = self._known.schema(number)
        return None if found is None else found.text

    def _read(self) -> Registry:
        registry = Registry()

        def take(offset: int, _key: bytes, value: bytes | None) -> None:
            try:
                registry.register_record(offset, value)
            except CodecError:
                return  # processors say in their logs what is in the topic beside schemas

        follower = TopicFollower(self._bootstrap, SCHEMAS_TOPIC, take)
        follower.start()
        try:
            follower.read_to_end(self._seconds)
        finally:
            follower.stop()
        return registry
