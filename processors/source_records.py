"""Messages of a source topic as records: what Kafka and the headers say beside the Avro bytes.

Invariant: whatever a producer puts into headers, its record is processed; only what the ingest API writes there counts.
"""

from collections.abc import Sequence
from typing import cast

from confluent_kafka import Message

from infra.logs import get_logger
from schemas.errors import CodecError
from schemas.transform import SourceRecord
from schemas.updates import PLAN_HEADER, REPLY_HEADER, Reply, plan_of_header

_log = get_logger(__name__)


def source_records(messages: Sequence[Message]) -> tuple[list[SourceRecord], int]:
    """Returns the records of messages, in order, and the newest plan number that their producers named; 0 if none."""
    newest = 0
    records = []
    for message in messages:
        reply = None
        for name, value in cast("list[tuple[str, bytes | None]]", message.headers() or ()):
            try:
                if name == REPLY_HEADER:
                    reply = Reply.of_header(value or b"")
                elif name == PLAN_HEADER:
                    newest = max(newest, plan_of_header(value or b""))
            except CodecError as error:
                _log.warning("header ignored", topic=message.topic(), offset=message.offset(), problem=str(error))
        _, append_time = message.timestamp()
        records.append(
            SourceRecord(message.partition() or 0, message.offset() or 0, append_time, message.value() or b"", reply)
        )
    return records, newest
