"""Which plan a source partition runs.

Invariant: it is the newest one that reads the source. Of a source that was removed, what is on its way still counts:
under the last plan that read it, as it was loaded then.
"""

from collections.abc import Set as AbstractSet

from processors.consumer.plans import PlanFollower
from processors.execution.runner import Executable, Runner
from schemas.definitions.plan import Plan


class SourceFollower:
    """Follows the plans for one partition of a source.

    Args:
        plans: of the source's workspace.
        runner: makes plans executable.
        plan: the one to begin with; it reads the source.
        source: its name.
    """

    def __init__(self, plans: PlanFollower, runner: Runner, plan: Plan, source: str) -> None:
        self._plans = plans
        self._runner = runner
        self._plan = plan
        self._source = source
        self._executable: Executable | None = None

    def follow(self, number: int, waited: AbstractSet[str]) -> Executable:
        """Returns what records go through; the same object as before as long as nothing has changed.

        Args:
            number: of the newest plan that their producers knew.
            waited: what they have waited for already.

        Raises:
            NotHereError: that plan, or its code, is not here yet.
        """
        newest = self._plans.newest(self._plan, number, waited)
        if self._executable is not None and self._source not in newest.read_sources():
            return self._executable  # not prepared anew: code that only older plans ran is forgotten
        plan = newest if self._source in newest.read_sources() else self._plan
        self._executable = self._runner.prepare(plan, self._source)
        self._plan = plan
        return self._executable
