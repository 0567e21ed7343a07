"""Messages of a source topic as records: what Kafka and the headers say beside the Avro bytes.

The bytes themselves are decoded where views run (``schemas.records.transform``): into what depends on the plan.

Invariant: whatever a producer puts into headers, its record is processed; only what the ingest API of the same
installation writes there counts. No producer's clock decides between two records: where Kafka did not stamp one itself
(it was in the topic before Headrace had Kafka do so), its append time is unknown, which is ``UNSTAMPED``.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, cast

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Message

from infra.kafka.topics import ACKS_PARTITIONS
from infra.logs import get_logger
from schemas.errors import CodecError
from schemas.messages.updates import PLAN_HEADER, REPLY_HEADER, ReplyAddress, place_of, plan_of_header
from schemas.records.transform import SourceRecord

UNSTAMPED: Final = 0
"""Lower than every append time: such a record is never late, moves no watermark, and any stamped one replaces it."""

MAX_REQUEST_BYTES: Final = 64  # of a request id; ours are shorter

_log = get_logger(__name__)


class Decoded(NamedTuple):
    """Records in order, and the newest plan number that their producers named; 0 if none did."""

    records: list[SourceRecord]
    plan: int


def decode(messages: Sequence[Message], installation: str) -> Decoded:
    """Returns the records of messages.

    Args:
        messages: as Kafka gave them.
        installation: of this process; who waits for another one's state is answered by that one.
    """
    newest = 0
    records = []
    for message in messages:
        reply = None
        for name, value in cast("list[tuple[str, bytes | None]]", message.headers() or ()):
            try:
                if name == REPLY_HEADER:
                    reply = _genuine(value or b"", message, installation)
                elif name == PLAN_HEADER:
                    newest = max(newest, plan_of_header(value or b""))
            except CodecError as error:
                _log.warning("header ignored", topic=message.topic(), offset=message.offset(), problem=str(error))
        kind, stamp = message.timestamp()
        append_time = stamp if kind == TIMESTAMP_LOG_APPEND_TIME else UNSTAMPED
        records.append(
            SourceRecord(message.partition() or 0, message.offset() or 0, append_time, message.value() or b"", reply)
        )
    return Decoded(records, newest)


def _genuine(header: bytes, message: Message, installation: str) -> ReplyAddress | None:
    """Returns a reply that the installation's ingest API may have written for this message; None if it is not for it.

    Raises:
        CodecError: it names a partition that nobody reads, or a request longer than any.
    """
    reply, place = ReplyAddress.of_header(header)
    if reply.partition >= ACKS_PARTITIONS or len(reply.request) > MAX_REQUEST_BYTES:
        raise CodecError(f"header {REPLY_HEADER} is not of the ingest API: reply partition {reply.partition}")
    is_here = place == place_of(message.topic() or "", message.partition() or 0)
    return reply if is_here and reply.installation == installation else None
