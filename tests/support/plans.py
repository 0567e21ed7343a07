"""Plans from the text of definitions, for tests: compiled as ``headrace apply`` compiles them, numbered by the test."""

from collections.abc import Mapping

import msgspec

from schemas.definitions.compile import compile_services, compile_sources, compile_views
from schemas.definitions.plan import Plan
from schemas.definitions.repository import digest, load_repository


class HeldPlans:
    """A source of plans (`schemas.definitions.plan_source`) without Kafka: all that there are is here.

    Args:
        *plans: the newest of their workspaces.

    Attributes:
        plans: by workspace; a test changes them.
        failure: what keeps them from being current; a test sets it.
    """

    def __init__(self, *plans: Plan) -> None:
        self.plans = {plan.workspace: plan for plan in plans}
        self.failure: str | None = None

    def workspaces(self) -> tuple[str, ...]:
        return tuple(self.plans)

    def plan(self, workspace: str) -> Plan | None:
        return self.plans.get(workspace)

    def read_to(self, workspace: str, number: int, timeout: float) -> None:
        """Finds nothing that is newer."""


def plan_of(
    definitions: str | Mapping[str, str],
    *,
    workspace: str = "prod",
    partitions: int = 4,
    source_partitions: int = 4,
    schema_id: int | None = None,
    first_view: int = 10,
    number: int = 1,
) -> Plan:
    """Returns the plan of a feature repository.

    Args:
        definitions: the text of its one module, or texts by path.
        workspace: whose plan.
        partitions: of the updates topic.
        source_partitions: of each source's topic.
        schema_id: what the registry gave each source; None leaves them unregistered.
        first_view: id of the first view by key; the others count on.
        number: of the plan.
    """
    files = {"views.py": definitions} if isinstance(definitions, str) else dict(definitions)
    repository = load_repository(files, "repo")
    sources = compile_sources(repository, source_partitions)
    if schema_id is not None:
        sources = {name: msgspec.structs.replace(source, schema_id=schema_id) for name, source in sources.items()}
    compiled = compile_views(repository, sources)
    services = compile_services(repository, compiled)
    views = {key: msgspec.structs.replace(view, id=i) for i, (key, view) in enumerate(compiled.items(), first_view)}
    return Plan(workspace, partitions, sources, views, services, files, digest(files), number=number)
