from processors.consumer.assignment import Where
from processors.consumer.partition_states import PartitionStates
from processors.consumer.takeover import Takeover
from schemas.errors import HeadraceError, LockedError, UnavailableError

A, B, C = ("prod.updates", 0), ("prod.updates", 1), ("prod.updates", 2)
KEPT, AWAY = LockedError("look for another process"), UnavailableError("Kafka does not answer")


class Files:
    """What keeps partitions from being opened, and which were asked for since one last looked."""

    def __init__(self, problems: dict[Where, HeadraceError]) -> None:
        self.problems = problems
        self._asked: list[Where] = []

    def take(self, where: Where) -> int | None:
        self._asked.append(where)
        if where in self.problems:
            raise self.problems[where]
        return 10 + where[1]

    def asked(self) -> list[Where]:
        asked, self._asked = self._asked, []
        return asked


def test_what_is_free_is_taken_and_what_another_process_keeps_is_tried_again() -> None:
    files = Files({A: KEPT})
    takeover = Takeover(files.take, PartitionStates())
    takeover.add([A, B])
    assert (takeover.run(), takeover.problem) == ({B: 11}, "prod.updates[0] waits: look for another process")
    assert (takeover.run(), files.asked()) == ({}, [A, B, A])
    files.problems.clear()
    assert (takeover.run(), takeover.problem) == ({A: 10}, None)
    assert (takeover.run(), files.asked()) == ({}, [A])


def test_a_kafka_that_does_not_answer_is_asked_once_a_round_and_each_partition_has_its_turn() -> None:
    files = Files({A: AWAY, B: AWAY})
    takeover = Takeover(files.take, PartitionStates())
    takeover.add([A, B, C])
    assert (takeover.run(), files.asked()) == ({}, [A])
    assert "prod.updates[2] waits: for its turn" in str(takeover.problem)
    assert (takeover.run(), files.asked()) == ({}, [B])
    assert (takeover.run(), files.asked()) == ({C: 12}, [C, A])
    files.problems.clear()
    assert (takeover.run(), takeover.problem) == ({A: 10, B: 11}, None)


def test_what_the_group_takes_away_is_waited_for_no_longer() -> None:
    takeover = Takeover(Files({A: KEPT}).take, PartitionStates())
    takeover.add([A])
    takeover.run()
    takeover.drop([A, B])
    assert (takeover.problem, takeover.run()) == (None, {})


def test_a_partition_that_nobody_wants_is_neither_read_nor_waited_for() -> None:
    asked: list[Where] = []
    takeover = Takeover(asked.append, PartitionStates())
    takeover.add([A])
    assert (takeover.run(), takeover.run(), takeover.problem) == ({}, {}, None)
    assert asked == [A]
