"""What happens to a batch of one source partition, without Kafka.

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


class TransformStep:
    """The transform of one source partition.

    1. ``transform``: records become updates, rejects and answers.
    2. ``finish``: the source log gets the records that it does not have, but for those that could not be decoded;
    3. and updates, dead letters and answers are returned to be sent, in this order.

    ``run`` does all three. They are apart so that a record that is suspected of killing the process can be transformed
    elsewhere. After a crash, records are transformed and sent again; their rows are absorbed by identity.

    Args:
        transform: the source's transform under the newest plan.
        log: keeps the source's records; None where the source is not logged.
    """

    def __init__(self, transform: SourceTransform, log: SourceLog | None) -> None:
        self._log = log
        self.use(transform)

    @property
    def current(self) -> SourceTransform:
        """The transform that is in use."""
        return self._transform

    def use(self, transform: SourceTransform) -> None:
        """Takes up a newer plan's transform of the same source."""
        self._transform = transform
        source = transform.source
        self._own_schema = {source.schema_id: avro.parse(source.schema)}

    def run(self, records: Sequence[SourceRecord], writers: Writers) -> list[OutMessage]:
        """Processes a batch; returns the messages to send.

        Args:
            records: of the partition, in order; at least one.
            writers: the parsed schema of each id that they carry, None where the registry has no such id; the source's
                own may be left out.

        Raises:
            StorageError: the source log cannot be written.
        """
        return self.finish(records, self.transform(records, writers), writers)

    def transform(self, records: Sequence[SourceRecord], writers: Writers) -> Transformation:
        """Does step 1; arguments as for ``run``."""
        return self._transform(records, writers)

    def finish(self, records: Sequence[SourceRecord], outcome: Transformation, writers: Writers) -> list[OutMessage]:
        """Does steps 2 and 3 for records and what they became; arguments and errors as for ``run``."""
        # 2. What could not be decoded is kept by its dead letter.
        if self._log is not None:
            undecoded = {reject.record.offset for reject in outcome.rejects if reject.is_unseen}
            decoded = [record for record in records if record.offset not in undecoded]
            self._log.append(decoded, {**writers, **self._own_schema}, records[-1].offset + 1)
        # 3. Updates, dead letters, answers.
        workspace, source = self._transform.plan.workspace, self._transform.source.name
        return [
            *update_messages(workspace, outcome.updates),
            *(dead_letter(workspace, source, reject) for reject in outcome.rejects),
            *ack_messages(workspace, outcome.acks),
        ]
