"""Every stored or sent format, with a sample: what `docs/compatibility/formats.md` lists.

To change a format: raise its version where it is defined, keep reading the former one, and run
``python -m tests.formats`` for the bytes of the new one. The files of former versions stay.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from infra.segments import format as segments
from processors.producer.messages import dead_letter
from schemas.avro import wire
from schemas.avro.schema import parse, source_schema
from schemas.definitions import plan_codec
from schemas.definitions.plan import IDENTITY_PLAN_FORMAT, PLAN_FORMAT, RetiredView
from schemas.messages import updates
from schemas.messages.updates import Ack, ReplyAddress, Row, Transformed, Update, Waiting, Written
from schemas.records.transform import Problem, Reject, SourceRecord
from schemas.registry.fold import REGISTRATION_FORMAT, Registration
from schemas.state import keys, values
from tests.support.plans import plan_of

REPOSITORY: Final = """
from datetime import timedelta
from headrace import *

user = Entity(name="user", join_keys=[Field("user_id", String)])
events = StreamSource(name="events", timestamp_field="at", log_offline=True, schema=[
    Field("user_id", String), Field("amount", Float64, required=False), Field("tags", Array(String), required=False),
    Field("at", Timestamp)])

@stream_feature_view(source=events, entities=[user], timestamp_field="at", aggregation_interval=timedelta(minutes=10),
    features=[Aggregate("mean", "amount", timedelta(hours=1)),
              Aggregate("last", "amount", timedelta(days=1), n=3, name="amounts")])
def spent(record):
    return record

@stream_feature_view(source=events, entities=[user], timestamp_field="at", ttl=timedelta(days=2))
def newest(record):
    return record

service = FeatureService(name="service", features=[spent, newest])
"""
PLAN: Final = plan_of(REPOSITORY, schema_id=7)
IDENTITY_PLAN: Final = plan_of(
    REPOSITORY.replace("log_offline=True", 'identity=["line"]').replace(
        'Field("at"', 'Field("line", Int64), Field("at"'
    ),
    schema_id=7,
)
RETIRED: Final = RetiredView(PLAN.views["spent@V1"], PLAN.sources["events"], "digest", 41, 3600.0)
FIELDS: Final = PLAN.sources["events"].columns
SCHEMA: Final = parse(source_schema("events", FIELDS))
RECORD: Final[dict[str, Any]] = {"user_id": "ann", "amount": 1.5, "tags": ["a", None], "at": 1_760_000_000_000_000}
REPLY: Final = ReplyAddress(3, b"request-0", 2, "i1")
UPDATE: Final = Update(
    updates.MESSAGE_FORMAT,
    9,
    11,
    2,
    [Row(b"\x02ann\x00\x00", 1_760_000_000_000_000, 1_760_000_000_123, 5, 0, ["ann", 1_760_000_000_000_000, 1.5])],
    [Waiting(REPLY, 1)],
)
ACKS: Final[list[Ack]] = [
    Transformed(b"request-0", 2, [(11, 1, 1)], [(12, "UDF_EXECUTION_FAILED", "ValueError: no")]),
    Written(b"request-0", 2, 11, 1, 1, "online", "disk full"),
]
LETTER: Final = dead_letter(
    "prod",
    "events",
    Reject(SourceRecord(1, 42, 1_760_000_000_123, b"raw", None), (Problem("v@V1", "MALFORMED", "no"),)),
)
IDENTITY_END: Final = keys.time_suffix(-1) + keys.encode_identity(["o", True])
ROW_KEY: Final = keys.row_prefix(11, keys.encode_join_keys(["ann", 5, None])) + keys.time_suffix(-1)
TILE_KEY: Final = keys.tile_prefix(11, keys.encode_join_keys(["ann"])) + keys.tile_suffix(600_000_000, 0)


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        name: as the page has it.
        version: that is written.
        additions: how often something was added to it that earlier releases pass over (rule FM-3).
        sample: bytes as they are written today.
        read: returns what the bytes mean, of every version that is read.
        meaning: of the sample.
    """

    name: str
    version: int
    sample: bytes
    read: Callable[[bytes], Any]
    meaning: Any
    additions: int = 0


def _segment() -> bytes:
    """Returns a segment of one block of two numbers."""
    longs = [{"name": name, "type": "long"} for name in ("offset", "next_offset")]
    schema = msgspec.json.encode({"type": "record", "name": "o", "fields": longs}).decode()
    return segments.encode_header(schema, 0, 0) + segments.encode_block(b"\x00\x02", 1, segments.sync_marker(0))


def _offsets(segment: bytes) -> tuple[int, int]:
    """Returns the offsets of a segment's first block."""

    def take(position: int, size: int) -> bytes:
        return segment[position : position + size]

    header = segments.read_header(take, 0)
    block, _ = segments.read_block(take, header.end, header)
    return block.first_offset, block.next_offset


FORMATS: Final = (
    Format("plan", PLAN_FORMAT, plan_codec.encode(PLAN), lambda data: plan_codec.decode_plan(1, data), PLAN),
    Format(
        "plan-with-identity",
        IDENTITY_PLAN_FORMAT,
        plan_codec.encode(IDENTITY_PLAN),
        lambda data: plan_codec.decode_plan(1, data),
        msgspec.structs.replace(IDENTITY_PLAN, format=IDENTITY_PLAN_FORMAT),
    ),
    Format(
        "view",
        plan_codec.VIEW_FORMAT,
        plan_codec.encode(PLAN.views["spent@V1"]),
        lambda data: plan_codec.decode_view(PLAN.views["spent@V1"].id, data),
        PLAN.views["spent@V1"],
    ),
    Format("ended", plan_codec.ENDED_FORMAT, plan_codec.encode_ended(RETIRED), plan_codec.decode_ended, RETIRED.since),
    Format(
        "registration",
        REGISTRATION_FORMAT,
        msgspec.json.encode(Registration(subject="s", schema='"long"')),
        lambda data: msgspec.json.decode(data, type=Registration),
        Registration(subject="s", schema='"long"'),
    ),
    Format(
        "source-record",
        0,
        wire.frame(7, SCHEMA, RECORD),
        lambda data: wire.unframe(data, SCHEMA, None)["tags"],
        ["a", None],
    ),
    Format("reply-header", 1, REPLY.header(77), ReplyAddress.of_header, (REPLY, 77)),
    Format("plan-header", 1, updates.plan_header(9), updates.plan_of_header, 9),
    Format(
        "dead-letter-headers",
        1,
        b"".join(name.encode() + b": " + value + b"\n" for name, value in LETTER.headers),
        lambda data: dict(line.split(b": ") for line in data.splitlines())[b"headrace-code"],
        b"MALFORMED",
    ),
    Format("update", updates.MESSAGE_FORMAT, updates.encode_update(UPDATE), updates.decode_update, UPDATE),
    Format("acks", updates.ACKS_FORMAT, updates.encode_acks(ACKS), updates.decode_acks, ACKS, additions=1),
    Format("row-key", keys.FORMAT_VERSION, ROW_KEY, lambda key: (keys.view_of(key), keys.time_of(key)), (11, -1)),
    Format(
        "row-key-with-identity",
        keys.FORMAT_VERSION,
        keys.row_prefix(11, keys.encode_join_keys(["ann"])) + IDENTITY_END,
        lambda key: (keys.view_of(key), keys.time_of(keys.without_identity(key))),
        (11, -1),
    ),
    Format(
        "tile-key",
        keys.FORMAT_VERSION,
        TILE_KEY,
        lambda key: (keys.view_of(key), keys.resolution_of(key), keys.time_of(key)),
        (11, 600_000_000, 0),
    ),
    Format(
        "row-value",
        keys.FORMAT_VERSION,
        values.version_bytes(1_760_000_000_123, 2, 5, 1) + values.encode([1.5, "a", None]),
        values.decode_row,
        [1.5, "a", None],
    ),
    Format("segment", segments.FORMAT_VERSION, _segment(), _offsets, (0, 1)),
    Format("tile-value", keys.FORMAT_VERSION, values.encode([8, 2, [1.5]]), values.decode, [8, 2, [1.5]]),
    Format(
        "tile-value-with-identity",
        keys.FORMAT_VERSION,
        values.encode([-1, [IDENTITY_END, 1.5]]),
        values.decode,
        [-1, [IDENTITY_END, 1.5]],
    ),
)
"""What has bytes of its own. Databases, mapped files and the access store are opened as a whole by their own tests."""
