"""Online state from the offline log, where the folder of a partition's database is missing.

Invariant: the rebuilt state answers as the lost one did: both are the fold of the same updates. Memory is bounded by a
batch, however long the log is.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from infra.paths import offline_log_folder
from infra.segments.disk import Disk
from infra.segments.log import begins_at
from processors.logs.offline_log import read_updates
from processors.materialize.step import MaterializeStep
from schemas.errors import StorageError
from schemas.messages.updates import UpdateMessage

BATCH_ROWS: Final = 5_000  # that end a batch: a few MB, and tiles are merged once for so many rows


def rebuild(
    step: MaterializeStep,
    disk: Disk,
    workspace: str,
    partition: int,
    *,
    batch_rows: int = BATCH_ROWS,
    beat: Callable[[], None] = lambda: None,
) -> int:
    """Writes all that the log of a partition holds to its state; state that has some of it already gets the rest.

    Args:
        step: of the partition, with its log open and a plan in use.
        disk: where the data folder is.
        workspace: its name.
        partition: which one.
        batch_rows: rows that end a batch.
        beat: called after each batch, as a sign that it goes on.

    Returns:
        How many messages were read.

    Raises:
        StorageError: the log is damaged or does not begin at the partition's beginning, or the state cannot be written.
    """
    folder = offline_log_folder(workspace, partition)
    begins = begins_at(disk, folder)
    if begins:
        raise StorageError(
            f"{folder}: the online state of the partition is missing and cannot be built from its log, which begins at "
            f"offset {begins}: restore the state, or the log's earlier files, from a copy; or, while Kafka still holds "
            "the updates topic from offset 0, move the folder away to have both made from there"
        )
    count = 0
    # Up to where the log stands: what is behind a hole comes again from Kafka.
    for batch in _batches(read_updates(disk, workspace, partition, end_offset=step.logged), batch_rows):
        step.write(batch, batch[-1].offset + 1)
        count += len(batch)
        beat()
    return count


def _batches(messages: Iterable[UpdateMessage], batch_rows: int) -> Iterator[list[UpdateMessage]]:
    batch: list[UpdateMessage] = []
    rows = 0
    for message in messages:
        batch.append(message)
        rows += len(message.update.rows)
        if rows >= batch_rows:
            yield batch
            batch, rows = [], 0
    if batch:
        yield batch
