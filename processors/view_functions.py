"""The functions of a plan's views, loaded once in a process and shared by all partitions.

Invariant: the functions are those of the texts in the plan.
"""

import threading

from schemas.plan import Plan
from schemas.repository import load_repository
from schemas.transform import SourceTransform, ViewFunction


def load_functions(plan: Plan) -> dict[str, ViewFunction]:
    """Returns the function of each view of a plan, by view key.

    Raises:
        DefinitionError: the files do not load here as they did at apply.
    """
    repository = load_repository(plan.files, f"plan-{plan.number}")
    return {f"{name}@{version}": view.function for (name, version), view in repository.views.items()}


class ViewFunctions:
    """Keeps the functions of the newest plan of each workspace; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: dict[str, tuple[int, dict[str, ViewFunction]]] = {}

    def transform(self, plan: Plan, source: str) -> SourceTransform:
        """Returns the compiled transform of one source.

        Raises:
            DefinitionError: as ``load_functions``.
        """
        with self._lock:
            number, functions = self._newest.get(plan.workspace, (-1, {}))
            if number != plan.number:
                functions = load_functions(plan)
                self._newest[plan.workspace] = (plan.number, functions)
        return SourceTransform(plan, plan.sources[source], functions)
