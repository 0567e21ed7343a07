from processors.takeover import Takeover
from schemas.errors import LockedError

A, B = ("prod.updates", 0), ("prod.updates", 1)


class Files:
    """Which partitions can be opened, and what was asked for."""

    def __init__(self, *kept: tuple[str, int]) -> None:
        self.kept = set(kept)
        self.asked: list[tuple[tuple[str, int], int | None]] = []

    def take(self, where: tuple[str, int], committed: int | None) -> int | None:
        self.asked.append((where, committed))
        if where in self.kept:
            raise LockedError("look for another process")
        return 10 + where[1]


def test_what_is_free_is_taken_and_what_is_kept_is_tried_again_with_the_same_offset() -> None:
    files = Files(A)
    takeover = Takeover(files.take)
    takeover.add({A: 7, B: None})
    assert (takeover.run(), takeover.problem) == ({B: 11}, "prod.updates[0] waits: look for another process")
    assert takeover.run() == {}
    files.kept.clear()
    assert (takeover.run(), takeover.problem) == ({A: 10}, None)
    assert takeover.run() == {}
    assert files.asked == [(A, 7), (B, None), (A, 7), (A, 7)]


def test_what_the_group_takes_away_is_waited_for_no_longer() -> None:
    takeover = Takeover(Files(A).take)
    takeover.add({A: None})
    takeover.run()
    takeover.drop([A, B])
    assert takeover.problem is None
    assert takeover.run() == {}


def test_a_partition_that_nobody_wants_is_neither_read_nor_waited_for() -> None:
    asked: list[tuple[str, int]] = []
    takeover = Takeover(lambda where, _: asked.append(where))
    takeover.add({A: None})
    assert (takeover.run(), takeover.run(), takeover.problem) == ({}, {}, None)
    assert asked == [A]
