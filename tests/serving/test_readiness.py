import asyncio
import itertools
from dataclasses import dataclass, field

from schemas.errors import UnavailableError
from serving.readiness import LOOKS_PER_ROUND, UNKNOWN, StateReadiness


@dataclass
class Partitions:
    """Partitions of which some cannot be read; counts who is opened, and how often between two turns of the loop."""

    count: int
    unreadable: set[int] = field(default_factory=set)
    opened: list[int] = field(default_factory=list)

    def open(self, number: int) -> None:
        self.opened.append(number)
        if number in self.unreadable:
            raise UnavailableError(f"partition {number} has no online state yet")

    def readiness(self) -> StateReadiness:
        return StateReadiness("prod", lambda: self.count, self.open)


def look(readiness: StateReadiness, rounds: int = 1) -> None:
    for _ in range(rounds):
        asyncio.run(readiness.look())


def test_a_probe_is_answered_from_what_is_known_and_opens_nothing() -> None:
    partitions = Partitions(2, {1})
    readiness = partitions.readiness()
    assert readiness.missing() == {"state/prod/0": UNKNOWN, "state/prod/1": UNKNOWN}
    look(readiness)
    before = list(partitions.opened)
    for _ in range(3):
        assert readiness.missing() == {"state/prod/1": "partition 1 has no online state yet"}
    assert partitions.opened == before == [0, 1]


def test_what_becomes_readable_or_breaks_is_noticed() -> None:
    partitions = Partitions(3, {2})
    readiness = partitions.readiness()
    look(readiness)
    partitions.unreadable = {0}
    look(readiness)
    assert list(readiness.missing()) == ["state/prod/0"]


def test_a_round_looks_at_few_of_many_that_are_readable_and_at_all_in_turn() -> None:
    partitions = Partitions(3 * LOOKS_PER_ROUND)
    readiness = partitions.readiness()
    look(readiness)
    partitions.opened.clear()
    look(readiness)
    assert len(partitions.opened) == LOOKS_PER_ROUND
    look(readiness, 2)
    assert sorted(partitions.opened) == list(range(partitions.count))


def test_others_get_their_turn_between_two_partitions() -> None:
    partitions = Partitions(5)
    seen: list[int] = []

    async def scenario() -> None:
        looking = asyncio.ensure_future(partitions.readiness().look())
        while not looking.done():
            await asyncio.sleep(0)
            seen.append(len(partitions.opened))

    asyncio.run(scenario())
    assert {after - before for before, after in itertools.pairwise(seen)} <= {0, 1}


def test_without_a_plan_nothing_is_missing() -> None:
    readiness = Partitions(0).readiness()
    look(readiness)
    assert readiness.missing() == {}
