"""The end of a batch's way, without Kafka: its records are logged, and what they became is told as messages.

Invariant: a message is returned only for records that the source log has, if there is one, so that the offset may be
committed as soon as the messages are in Kafka.
"""

from collections.abc import Mapping, Sequence

from processors.logs.source_log import SourceLog
from processors.producer.messages import OutMessage, ack_messages, dead_letter, update_messages
from schemas.avro import schema as avro
from schemas.records.transform import SourceRecord, SourceTransform, Transformation

Writers = Mapping[int, avro.ParsedSchema | None]


def start_offset(log: SourceLog | None, group_offset: int | None) -> int | None:
    """Returns where to read on, None for the earliest: the lower of what the group and the source log reached."""
    if log is None or group_offset is None:
        return group_offset
    reached = log.next_offset
    return None if reached is None else min(group_offset, reached)


def finish(
    transform: SourceTransform,
    log: SourceLog | None,
    records: Sequence[SourceRecord],
    outcome: Transformation,
    writers: Writers,
) -> list[OutMessage]:
    """Logs records of one partition and returns what to send: updates, dead letters and answers, in this order.

    Args:
        transform: what the records went through.
        log: keeps them; None where their source is not logged.
        records: in order; at least one.
        outcome: what they became.
        writers: the parsed schema of each id that they carry, None where the registry has no such id; the source's own
            may be left out.

    Raises:
        StorageError: the source log cannot be written; nothing is to be sent.
    """
    # The log comes first: what is sent may be committed, and a record that was committed is never read again. After a
    # crash in between, records are sent again, which their rows' identity absorbs; the log skips those that it has.
    if log is not None:
        undecoded = {reject.record.offset for reject in outcome.rejects if reject.is_unseen}
        decoded = [record for record in records if record.offset not in undecoded]  # the others' dead letters keep them
        own = {transform.source.schema_id: transform.reader}
        log.append(decoded, {**writers, **own}, records[-1].offset + 1)
    workspace, source = transform.plan.workspace, transform.source.name
    return [
        *update_messages(workspace, outcome.updates),
        *(dead_letter(workspace, source, reject) for reject in outcome.rejects),
        *ack_messages(workspace, outcome.acks),
    ]
