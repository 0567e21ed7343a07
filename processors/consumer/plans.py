"""The plan that a partition's messages are processed under, whichever the stage.

Invariant: it is at least as new as the one that whoever wrote the messages knew. A number that was made up is waited
for once, until the topic of definitions was read to its end, and then passed over.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from typing import Final

from processors.waiting import NotHereError, Owner, until_available
from schemas.definitions.plan import Plan
from schemas.definitions.plan_source import PlanSource

PLAN_SECONDS: Final = 5.0  # for the topic of definitions to be read to its end, before that is tried again


@dataclass(frozen=True, slots=True)
class PlanFollower:
    """Follows the plans for one partition.

    Attributes:
        plans: where they come from.
        owner: of the partition.
        partition: its name, for whoever wonders what it waits for.
    """

    plans: PlanSource
    owner: Owner
    partition: str

    def newest(self, known: Plan, number: int, waited: AbstractSet[str]) -> Plan:
        """Returns the newest plan of a workspace.

        Args:
            known: the one that the partition has followed so far; stays, if the workspace was removed.
            number: of the newest plan that the messages name, 0 if they name none.
            waited: what they have waited for already.

        Raises:
            NotHereError: a plan that they name is not here, and may exist.
        """
        newest = self.plans.plan(known.workspace) or known
        what = f"plan {number} for {self.partition}"
        if number <= newest.number or what in waited:
            return newest
        read = partial(self.plans.read_to, known.workspace, number, PLAN_SECONDS)
        raise NotHereError(what, partial(until_available, self.owner, read, what))
