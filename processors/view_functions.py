"""The functions of a plan's views, loaded once in a process and shared by all partitions.

Invariant: the functions are those of the texts in the plan.
"""

import threading
from collections.abc import Mapping

from schemas.plan import Plan
from schemas.repository import load_repository
from schemas.transform import SourceTransform, ViewFunction


def load_functions(plan: Plan) -> dict[str, ViewFunction]:
    """Returns the function of each view of a plan, by view key; retired views run from the texts that they came from.

    Raises:
        DefinitionError: the files do not load here as they did at apply.
    """
    functions = _functions(plan.files, f"plan-{plan.number}")
    for digest, files in plan.repositories.items():
        found = _functions(files, f"plan-{plan.number}-{digest[:8]}")
        functions |= {key: found[key] for key, retired in plan.retired.items() if retired.texts == digest}
    return functions


def _functions(files: Mapping[str, str], label: str) -> dict[str, ViewFunction]:
    repository = load_repository(files, label)
    return {f"{name}@{version}": view.function for (name, version), view in repository.views.items()}


class ViewFunctions:
    """Keeps the functions of the newest plan of each workspace; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: dict[str, tuple[Plan, dict[str, ViewFunction]]] = {}

    def transform(self, plan: Plan, source: str) -> SourceTransform:
        """Returns the compiled transform of one source.

        Raises:
            DefinitionError: as ``load_functions``.
        """
        with self._lock:
            newest, functions = self._newest.get(plan.workspace, (None, {}))
            if newest is not plan:
                functions = load_functions(plan)
                self._newest[plan.workspace] = (plan, functions)
        return SourceTransform(plan, plan.read_sources()[source], functions)
