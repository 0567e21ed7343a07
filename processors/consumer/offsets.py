"""Whether Kafka still holds the offset at which a partition has to go on.

Invariant: no record is ever skipped in silence: an offset that Kafka no longer holds, or does not hold yet, ends the
process with what to do (docs/design.md §2).
"""

from schemas.errors import StorageError


def check_offsets(
    where: tuple[str, int], start: int | None, earliest: int, latest: int, *, reset_to_earliest: bool
) -> int | None:
    """Returns where to read on; None for the earliest.

    Args:
        where: topic and partition, for messages.
        start: the offset at which processing has to go on; None if nothing was processed yet.
        earliest: the first offset that Kafka holds.
        latest: the offset that the next record will get.
        reset_to_earliest: whether records that Kafka dropped by its retention may be passed over (source topics), or
            would be missing from what is built on them (updates).

    Raises:
        StorageError: records would be lost; says what to do.
    """
    topic, partition = where
    if start is None:
        if earliest > 0 and not reset_to_earliest:
            raise StorageError(
                f"{topic} partition {partition}: nothing is processed yet, but Kafka holds records from offset "
                f"{earliest} only; restore state and log of the partition from a copy (state alone is enough: the log "
                "then begins at what Kafka holds)"
            )
        return None
    if start < earliest and reset_to_earliest:
        return None
    if start < earliest:
        raise StorageError(
            f"{topic} partition {partition}: processing goes on at offset {start}, but Kafka holds records from "
            f"{earliest} only; restore log and state of the partition from a newer copy"
        )
    if start > latest:
        raise StorageError(
            f"{topic} partition {partition}: processing stands at offset {start}, but the topic ends at {latest}: it "
            "was made anew or truncated; connect to the right Kafka, or start with an empty data folder"
        )
    return start
