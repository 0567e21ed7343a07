"""Where whoever follows definitions takes plans from; in a running process, `infra.kafka.definitions.DefinitionsLog`.

Invariant: what it gives out was applied; a plan that is not here yet is never taken for one that does not exist.
"""

from collections.abc import Sequence
from typing import Protocol

from schemas.definitions.plan import Plan


class PlanSource(Protocol):
    """The newest plan of each workspace, as far as the topic of definitions was read."""

    @property
    def failure(self) -> str | None:
        """What keeps the plans from being current, in words, or None."""

    def workspaces(self) -> Sequence[str]:
        """Returns the workspaces that have a plan."""

    def plan(self, workspace: str) -> Plan | None:
        """Returns the newest plan of a workspace that is here; None if there is none."""

    def read_to(self, workspace: str, number: int, timeout: float) -> None:
        """Reads until a workspace's plan is as new as ``number``, or there turns out to be no such plan.

        Args:
            workspace: its name.
            number: of a plan.
            timeout: seconds.

        Raises:
            UnavailableError: neither can be told now.
        """
