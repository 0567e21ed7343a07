"""A partition in memory, for tests of what is read from which."""

from collections.abc import Mapping, Sequence
from typing import Any

from processors.materialize.fold import ViewState, materialize
from processors.materialize.view_digests import take_up
from schemas.definitions.plan import ViewPlan
from schemas.messages.updates import UpdateMessage
from schemas.state.keys import digest_key, encode_join_keys, partition_of, watermark_key
from schemas.state.values import decode
from serving.reads.read_plan import ViewFacts
from tests.serving.world import PARTITIONS, update_of
from tests.support.memory_state import MemoryState


class MemoryPartition:
    """A ``serving.reads.read_plan.Partition``."""

    def __init__(self) -> None:
        self.reader = MemoryState()

    def facts(self, view: int) -> ViewFacts:
        value = self.reader.get(watermark_key(view))
        return ViewFacts(self.reader.get(digest_key(view)), None if value is None else int(decode(value)))


class Partitions:
    """All partitions of a workspace; remembers which were opened."""

    def __init__(self) -> None:
        self.partitions = [MemoryPartition() for _ in range(PARTITIONS)]
        self.opened: list[int] = []

    def open(self, number: int) -> MemoryPartition:
        self.opened.append(number)
        return self.partitions[number]

    def write(self, view: ViewPlan, *rows: Mapping[str, Any]) -> None:
        for partition in self.partitions:
            take_up([view], partition.reader)
        for offset, row in enumerate(rows):
            key = encode_join_keys([row.get(name) for name in view.join_keys])
            state = self.partitions[partition_of(key, PARTITIONS)].reader
            message = UpdateMessage(offset, update_of(view, key, row, offset))
            state.write(materialize({view.id: ViewState(view)}, state, [message], offset + 1).writes)


def users_of_partition(number: int, count: int) -> Sequence[str]:
    """Returns user ids whose keys lie in a partition."""
    names = (f"user{index}" for index in range(1000))
    return [name for name in names if partition_of(encode_join_keys([name]), PARTITIONS) == number][:count]
