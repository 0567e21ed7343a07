from datetime import UTC, datetime

from headrace.inspection.decoding import PAUSE_SECONDS, Decoded, RecordDecoder, SchemaTexts
from infra.kafka.schema_registry import SchemaRegistry
from schemas.avro import schema as avro
from schemas.avro import wire
from schemas.errors import UnavailableError
from schemas.types import Field, String, Timestamp
from tests.support.plans import plan_of
from tests.support.repositories import HEAD, view

SOURCE = plan_of(HEAD + view(), schema_id=4).sources["events"]
EVENT = {"user": "ann", "x": 1.5, "tags": None, "at": datetime(2026, 1, 1, tzinfo=UTC)}
OLDER = avro.source_schema("events", (Field("user", String), Field("at", Timestamp)))


def framed(number: int, text: str, record: dict[str, object]) -> bytes:
    return wire.frame(number, avro.parse(text), record)


def no_text(_number: int) -> str | None:
    return None


def test_a_record_in_the_sources_own_schema_needs_no_registry() -> None:
    assert RecordDecoder(SOURCE, no_text)(framed(4, SOURCE.schema, EVENT)) == Decoded(EVENT)


def test_a_record_in_another_schema_is_shown_in_the_sources_own() -> None:
    asked: list[int] = []

    def text_of(number: int) -> str | None:
        asked.append(number)
        return OLDER

    decode = RecordDecoder(SOURCE, text_of)
    older = framed(2, OLDER, {"user": "ann", "at": EVENT["at"]})
    for _ in range(2):
        assert decode(older) == Decoded({**EVENT, "x": None})
    assert asked == [2]


def test_what_is_no_record_is_told_with_why() -> None:
    decode = RecordDecoder(SOURCE, no_text)
    assert decode(b"junk").problem.startswith("expected the Confluent wire format")
    assert decode(framed(2, OLDER, EVENT)) == Decoded(None, "schema id 2 is not in the registry")
    assert "does not decode" in decode(wire.MAGIC + (4).to_bytes(4, "big") + b"\x02").problem


def test_a_registry_that_cannot_be_read_is_told() -> None:
    def away(_number: int) -> str | None:
        raise UnavailableError("the registry is away")

    assert RecordDecoder(SOURCE, away)(framed(2, OLDER, EVENT)) == Decoded(None, "the registry is away")


def test_texts_come_from_the_registry_after_a_pause_also_later_ones(bootstrap: str, unique: str) -> None:
    registry = SchemaRegistry(bootstrap)
    registry.start()
    try:
        now = [0.0]
        texts = SchemaTexts(bootstrap, 10.0, lambda: now[0])
        text = avro.source_schema(unique, (Field("user", String),))
        number, _ = registry.register(unique, text)
        assert texts(number) == text
        later = avro.source_schema(unique, (Field("user", String), Field("at", Timestamp)))
        second, _ = registry.register(unique, later)
        assert texts(second) is None  # it was read just now
        now[0] += PAUSE_SECONDS
        assert texts(second) == later
        assert texts(2**31 - 1) is None
    finally:
        registry.stop()
