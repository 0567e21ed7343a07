"""The feature services that can be read, compiled anew whenever definitions change.

Invariant: a workspace's services are all of one plan, the newest that could be compiled; what is looked up is what was
compiled, so a request costs two dictionary look-ups.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from infra.logs import get_logger
from schemas.definitions.plan import Plan
from schemas.errors import HeadraceError, NotFoundError, UnavailableError
from serving.reads.read_plan import ReadPlan, compile_read_plan

Service = TypeVar("Service")

_log = get_logger(__name__)


class PlanSource(Protocol):
    """Where plans come from: ``infra.kafka.definitions.DefinitionsLog``."""

    def workspaces(self) -> Sequence[str]:
        """Returns the workspaces that have a plan."""

    def plan(self, workspace: str) -> Plan | None:
        """Returns the newest plan of a workspace."""


@dataclass(frozen=True, slots=True)
class _Workspace(Generic[Service]):
    plan: Plan
    services: dict[str, Service] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)  # services that did not compile, and why


class Services(Generic[Service]):
    """The compiled services of all workspaces; for use by one event loop.

    Args:
        plans: where they come from.
        compile_service: adds what a dialect needs to a read plan.

    Attributes:
        complete: whether definitions were read to their end once; before that, what is missing may yet come.
    """

    def __init__(self, plans: PlanSource, compile_service: Callable[[ReadPlan], Service]) -> None:
        self.complete = False
        self._plans = plans
        self._compile = compile_service
        self._workspaces: dict[str, _Workspace[Service]] = {}

    def refresh(self) -> None:
        """Compiles the plans that are new, and forgets workspaces that are gone."""
        plans = {name: self._plans.plan(name) for name in self._plans.workspaces()}
        for name, plan in plans.items():
            known = self._workspaces.get(name)
            if plan is not None and (known is None or known.plan is not plan):
                self._workspaces[name] = self._compiled(plan)
        for name in self._workspaces.keys() - plans.keys():
            del self._workspaces[name]

    def find(self, workspace: str, service: str) -> Service:
        """Returns a compiled service.

        Raises:
            NotFoundError: there is no such workspace or service.
            UnavailableError: definitions were not read yet, or the service cannot be compiled by this process.
        """
        known = self._workspaces.get(workspace)
        found = known.services.get(service) if known else None
        if found is not None:
            return found
        if not self.complete:
            raise UnavailableError("the definitions have not been read to their end yet; try again")
        subject = f"Unable to query FeatureService {service} for workspace {workspace}: "
        if known is None:
            raise NotFoundError(f"{subject}there is no such workspace; `headrace apply` makes it")
        if service in known.broken:
            raise UnavailableError(f"{subject}{known.broken[service]}")
        if service in known.plan.services:
            raise NotFoundError(f"{subject}it is defined with online_serving_enabled=False")
        raise NotFoundError(f"{subject}there is no such service; known are: {', '.join(known.services) or 'none'}")

    def plan(self, workspace: str) -> Plan | None:
        """Returns the plan that a workspace's services are of."""
        known = self._workspaces.get(workspace)
        return known.plan if known else None

    def _compiled(self, plan: Plan) -> _Workspace[Service]:
        compiled: _Workspace[Service] = _Workspace(plan)
        for name, service in plan.services.items():
            if not service.online_serving_enabled:
                continue
            try:
                compiled.services[name] = self._compile(compile_read_plan(plan, service))
            except HeadraceError as error:
                compiled.broken[name] = error.message
            except KeyError as error:
                compiled.broken[name] = f"this process does not know {error}; upgrade Headrace"
            if name in compiled.broken:
                reason = compiled.broken[name]
                _log.error("service not compiled", workspace=plan.workspace, service=name, reason=reason)
        _log.info("plan in force", workspace=plan.workspace, plan=plan.number, services=len(compiled.services))
        return compiled
