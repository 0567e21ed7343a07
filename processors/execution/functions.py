"""The functions of the views of all plans, as far as their code loads on this host; shared by all partitions.

Invariant: the functions are those of the texts in the plan, and this process has run no module that a child process did
not survive. A view whose code does not load is FAILED, here alone, and stops nothing else.

A repository, by the digest of its texts, is loaded once for its workspace: first in a child process
(``infra.user_code.trial``), then, without what failed there, in this process. What failed is tried again with each
new plan and after a while.
"""

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from infra.logs import get_logger
from infra.metrics import FAILED_VIEWS
from infra.user_code.child import Code
from infra.user_code.trial import Trial, try_code
from schemas.definitions.plan import Plan
from schemas.definitions.repository import LoadedViews, load_views, module_texts
from schemas.limits import MODULE_LOADING_SECONDS
from schemas.records.transform import ViewFunction

TRIALS: Final = 8  # at a time: each is a process of its own
HERE_FACTOR: Final = 2  # how much longer code may take to load here, beside everything else, than in a child

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class PlanFunctions:
    """What the views of one plan run as here.

    Attributes:
        functions: of the views that load, by view key.
        failed: why the others do not, by view key.
        code: the repositories that they run from, without what does not load.
    """

    functions: Mapping[str, ViewFunction]
    failed: Mapping[str, str]
    code: Sequence[Code]


@dataclass(slots=True, eq=False)
class _Repository:
    """One repository of one workspace.

    ``views``: the keys of all that ever ran from it; ``tried`` and ``loaded`` are None until it was loaded once.
    """

    workspace: str
    label: str
    files: dict[str, str]
    views: set[str] = field(default_factory=set)
    again: asyncio.Event = field(default_factory=asyncio.Event)
    first: asyncio.Event = field(default_factory=asyncio.Event)
    tried: Trial | None = None
    loaded: LoadedViews | None = None
    task: asyncio.Task[None] | None = None

    def is_whole(self) -> bool:
        """Whether all of it loads."""
        loaded = self.loaded
        return loaded is not None and not loaded.failures and self.views <= loaded.functions().keys()


class ViewFunctions:
    """Loads and keeps the functions; for use in one event loop, but for ``failed``.

    Args:
        retry_seconds: after which what failed is tried again.
        module_seconds: that each module may take to load.
    """

    def __init__(self, retry_seconds: float, module_seconds: float = MODULE_LOADING_SECONDS) -> None:
        self._retry_seconds = retry_seconds
        self._module_seconds = module_seconds
        self._trials = asyncio.Semaphore(TRIALS)
        self._plans: dict[str, Plan] = {}
        self._repositories: dict[tuple[str, str], _Repository] = {}
        self._made: dict[str, tuple[Plan, PlanFunctions]] = {}  # by workspace, until what it is made of changes
        self._raised: BaseException | None = None
        self._told: dict[str, Mapping[str, str]] = {}

    def follow(self, plans: Sequence[Plan]) -> None:
        """Takes up the newest plans, one for each workspace, and begins to load what is new in them.

        What only older plans ran from is forgotten.
        """
        before, self._plans = self._plans, {plan.workspace: plan for plan in plans}
        kept = {(workspace, digest) for known in (before, self._plans) for workspace, digest in _digests(known)}
        for where in self._repositories.keys() - kept:
            self._forget(self._repositories.pop(where))
        for workspace in before.keys() - self._plans.keys():
            self._made.pop(workspace, None)
            self._tell(workspace, {})
        for workspace, plan in self._plans.items():
            if before.get(workspace) is not plan:
                for repository in self._of(plan):
                    repository.again.set()
                self._refresh(workspace)

    def of(self, plan: Plan) -> PlanFunctions | None:
        """Returns what a plan's views run as; None while they are loaded for the first time.

        The same object as before is returned as long as nothing has changed.
        """
        if self._raised is not None:
            raise self._raised  # what nobody expected of loading
        known = self._made.get(plan.workspace)
        if known is not None and known[0] is plan:
            return known[1]
        repositories = self._of(plan)
        loaded = [repository.loaded for repository in repositories if repository.loaded is not None]
        if len(loaded) < len(repositories):
            return None
        made = _made(plan, loaded)
        self._made[plan.workspace] = (plan, made)
        return made

    async def loaded(self, plan: Plan) -> None:
        """Waits until ``of`` returns what a plan's views run as."""
        for repository in self._of(plan):
            await repository.first.wait()

    def failed(self) -> Mapping[str, Mapping[str, str]]:
        """Returns why views do not load here, by workspace and view key; from any thread."""
        return {workspace: failed for workspace, failed in list(self._told.items()) if failed}

    async def stop(self) -> None:
        """Ends what is under way."""
        tasks = [repository.task for repository in self._repositories.values() if repository.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _of(self, plan: Plan) -> list[_Repository]:
        found = []
        for digest, code in _code_of(plan):
            where = plan.workspace, digest
            repository = self._repositories.get(where)
            if repository is None:
                repository = self._repositories[where] = _Repository(plan.workspace, code.label, code.files)
                repository.task = asyncio.get_running_loop().create_task(self._keep(repository))
                repository.task.add_done_callback(self._ended)
            repository.views.update(code.views)
            found.append(repository)
        return found

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._raised = error

    def _forget(self, repository: _Repository) -> None:
        repository.first.set()  # who still waits asks once more
        if repository.task is not None:
            repository.task.cancel()

    async def _keep(self, repository: _Repository) -> None:
        """Loads a repository, and again for as long as a part of it does not load."""
        while True:
            repository.again.clear()
            try:
                await self._load(repository)
            finally:
                repository.first.set()
            self._refresh(repository.workspace)
            if repository.is_whole():
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(self._retry_seconds):
                    await repository.again.wait()

    async def _load(self, repository: _Repository) -> None:
        label, files, before = repository.label, repository.files, repository.tried
        async with self._trials:
            tried = await try_code(label, files, module_seconds=self._module_seconds)
        if before is not None and repository.loaded is not None:
            same = (before.views, before.failures.keys()) == (tried.views, tried.failures.keys())
            if same and repository.loaded.failures.keys() == tried.failures.keys():
                return  # as before: nothing that was loaded here is loaded anew
        limit = self._module_seconds * len(files) * HERE_FACTOR
        repository.loaded = await _load_here(label, files, tried.failures, limit)
        repository.tried = tried
        self._made.pop(repository.workspace, None)

    def _refresh(self, workspace: str) -> None:
        plan = self._plans.get(workspace)
        made = None if plan is None else self.of(plan)
        if made is not None:
            self._tell(workspace, made.failed)

    def _tell(self, workspace: str, failed: Mapping[str, str]) -> None:
        before = self._told.get(workspace, {})
        self._told[workspace] = failed
        for key in before.keys() - failed.keys():
            with suppress(KeyError):
                FAILED_VIEWS.remove(workspace, key)
            _log.info("view loads again", workspace=workspace, view=key)
        for key, problem in failed.items():
            FAILED_VIEWS.labels(workspace, key).set(1)
            if before.get(key) != problem:
                _log.error("view failed", workspace=workspace, view=key, problem=problem)


def _code_of(plan: Plan) -> Iterator[tuple[str, Code]]:
    """Yields the repositories that a plan's views run from, by digest of their texts."""
    yield plan.digest, Code(f"plan-{plan.number}", plan.files, {}, sorted(plan.views))
    for digest, files in plan.repositories.items():
        retired = sorted(key for key, each in plan.retired.items() if each.texts == digest)
        yield digest, Code(f"plan-{plan.number}-{digest[:8]}", files, {}, retired)


def _digests(plans: Mapping[str, Plan]) -> Iterator[tuple[str, str]]:
    return ((workspace, digest) for workspace, plan in plans.items() for digest, _ in _code_of(plan))


def _made(plan: Plan, loaded: Sequence[LoadedViews]) -> PlanFunctions:
    functions: dict[str, ViewFunction] = {}
    failed: dict[str, str] = {}
    code = []
    for (_, of), views in zip(_code_of(plan), loaded, strict=True):
        found = views.functions()
        problems = "; ".join(dict.fromkeys(views.failures.values()))
        for key in of.views:
            if key in found:
                functions[key] = found[key]
            else:
                failed[key] = f"the view does not load here: {problems or 'no module defines it, or two do'}"
        code.append(Code(of.label, of.files, dict(views.failures), of.views))
    return PlanFunctions(functions, failed, code)


async def _load_here(label: str, files: Mapping[str, str], condemned: Mapping[str, str], limit: float) -> LoadedViews:
    """Loads code in this process, in a thread of its own: one that hangs after all holds nothing up."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[LoadedViews] = loop.create_future()

    def settle(loaded: LoadedViews) -> None:
        if not done.done():
            done.set_result(loaded)

    def load() -> None:
        loaded = load_views(files, label, condemned)
        with suppress(RuntimeError):  # the loop is closed: the process has ended already
            loop.call_soon_threadsafe(settle, loaded)

    threading.Thread(target=load, name=f"loading {label}", daemon=True).start()
    try:
        async with asyncio.timeout(limit):
            return await done
    except TimeoutError:
        problem = f"{label}: not loaded within {limit:g} s, though a process of its own could load it"
        return LoadedViews({}, {**dict.fromkeys(module_texts(files), problem), **condemned})
