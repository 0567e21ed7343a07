"""The feature services that can be read, compiled anew whenever definitions change.

Invariant: a workspace's services are all of one plan, the newest that could be compiled; what is looked up is what was
compiled, so a request costs two dictionary look-ups.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from infra.logs import get_logger
from infra.metrics import OUT_OF_RANGE_VALUES, SERVED_VALUE_AGE_SECONDS
from schemas.definitions.ids import defined_id
from schemas.definitions.plan import Plan
from schemas.definitions.plan_source import PlanSource
from schemas.errors import HeadraceError, NotFoundError, UnavailableError
from schemas.instants import SECOND
from serving.reads.dialect import DialectService, ReadDialect
from serving.reads.read_plan import ReadPlan, ViewAnswer, compile_read_plan

_log = get_logger(__name__)


class ServedService:
    """A feature service, compiled once: how it is read, and what each dialect needs of it.

    Args:
        plan: how it is read.
        dialects: that it may be asked for in.
    """

    def __init__(self, plan: ReadPlan, dialects: Iterable[ReadDialect]) -> None:
        self.plan = plan
        self._ages = [SERVED_VALUE_AGE_SECONDS.labels(plan.workspace, read.view.key) for read in plan.views]
        self._compiled: dict[str, DialectService] = {}
        self._broken: dict[str, str] = {}
        for dialect in dialects:
            try:
                self._compiled[dialect.name] = dialect.compile(plan)
            except HeadraceError as error:
                self._broken[dialect.name] = error.message
                _log.error(
                    "service not compiled",
                    workspace=plan.workspace,
                    service=plan.service,
                    dialect=dialect.name,
                    reason=error.message,
                )

    def of(self, dialect: ReadDialect) -> DialectService:
        """Returns what a dialect needs of it.

        Raises:
            UnavailableError: the dialect cannot serve it.
        """
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            reason = self._broken.get(dialect.name, "it is not compiled for this API")
            raise UnavailableError(f"{dialect.about(self.plan.workspace, self.plan.service)}: {reason}")
        return compiled

    def observe(self, answers: Iterable[ViewAnswer], now: int) -> None:
        """Counts how old, by event time, the newest event behind each view's values is, and sums beyond 64 bits.

        Args:
            answers: what was read, one for each view of the plan.
            now: µs since the epoch.
        """
        for age, answer, read in zip(self._ages, answers, self.plan.views, strict=True):
            if answer.watermark is not None:
                age.observe((now - answer.watermark) / SECOND)
            for position in answer.values.out_of_range:
                feature = read.view.features[position].name
                OUT_OF_RANGE_VALUES.labels(self.plan.workspace, read.view.key, feature).inc()


@dataclass(frozen=True, slots=True)
class _Workspace:
    plan: Plan
    names: Mapping[str, str]  # of services, by id
    services: dict[str, ServedService] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)  # services that did not compile, and why


class Services:
    """The compiled services of all workspaces; for use by one event loop.

    Args:
        plans: where they come from.
        dialects: that they may be asked for in.
        installation: part of the ids by which they may be named.

    Attributes:
        complete: whether definitions were read to their end once; before that, what is missing may yet come.
    """

    def __init__(self, plans: PlanSource, dialects: Sequence[ReadDialect], installation: str) -> None:
        self.complete = False
        self._plans = plans
        self._dialects = dialects
        self._installation = installation
        self._workspaces: dict[str, _Workspace] = {}

    def refresh(self) -> None:
        """Compiles the plans that are new, and forgets workspaces that are gone."""
        plans = {name: self._plans.plan(name) for name in self._plans.workspaces()}
        for name, plan in plans.items():
            known = self._workspaces.get(name)
            if plan is not None and (known is None or known.plan is not plan):
                self._workspaces[name] = self._compiled(plan)
        for name in self._workspaces.keys() - plans.keys():
            del self._workspaces[name]

    def find(self, workspace: str, name: str | None, service_id: str | None = None) -> ServedService:
        """Returns a compiled service.

        Args:
            workspace: of the service.
            name: of the service; None where it is named by id.
            service_id: its id (`schemas.definitions.ids`).

        Raises:
            NotFoundError: there is no such workspace or service.
            UnavailableError: definitions were not read yet, or the service cannot be compiled by this process.
        """
        known = self._workspaces.get(workspace)
        if name is None and known is not None:
            name = known.names.get(service_id or "")
        found = known.services.get(name) if known and name else None
        if found is not None:
            return found
        if not self.complete:
            raise UnavailableError("the definitions have not been read to their end yet; try again")
        if known is None:
            raise NotFoundError("there is no such workspace; `headrace apply` makes it")
        if name in known.broken:
            raise UnavailableError(known.broken[name])
        if name in known.plan.services:
            raise NotFoundError("it is defined with online_serving_enabled=False")
        raise NotFoundError(f"there is no such service; known are: {', '.join(known.services) or 'none'}")

    def plan(self, workspace: str) -> Plan | None:
        """Returns the plan that a workspace's services are of."""
        known = self._workspaces.get(workspace)
        return known.plan if known else None

    def _compiled(self, plan: Plan) -> _Workspace:
        ids = {defined_id(self._installation, plan.workspace, "feature_service", name): name for name in plan.services}
        compiled = _Workspace(plan, ids)
        for name, service in plan.services.items():
            if not service.online_serving_enabled:
                continue
            try:
                compiled.services[name] = ServedService(compile_read_plan(plan, service), self._dialects)
            except HeadraceError as error:
                compiled.broken[name] = error.message
            except KeyError as error:
                compiled.broken[name] = f"this process does not know {error}; upgrade Headrace"
            if name in compiled.broken:
                reason = compiled.broken[name]
                _log.error("service not compiled", workspace=plan.workspace, service=name, reason=reason)
        _log.info("plan in force", workspace=plan.workspace, plan=plan.number, services=len(compiled.services))
        return compiled
