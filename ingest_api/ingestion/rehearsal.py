"""Dry runs: the views' functions run on records that go nowhere, in a child process of this one.

A workspace has at most one child, with the code of its newest plan; the first dry run that needs it starts it, and it
ends when none came for a while. What a function may do to a process (hang, take all memory, crash) it does to that
child alone; the record that it did it on is a failure of its views, and the next one gets a new child.

Invariant: nothing is written, to Kafka or to a disk; and what is said of a record is what a processor would say of it
with the same plan, but for what only state knows.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from time import time_ns
from typing import Final

from infra.logs import get_logger
from infra.user_code.child import Code, Result, Run, Task
from infra.user_code.process import ChildFailedError, CodeProcess, NotPreparedError, code_process
from infra.user_code.trial import try_code
from ingest_api.ingestion.pending import Failure, RecordOutcome
from ingest_api.ingestion.publish_and_wait import Batch, BatchOutcome, combined
from ingest_api.ingestion.sources import Sources
from schemas.definitions.plan import Plan, ViewPlan
from schemas.definitions.plan_codec import encode
from schemas.errors import FUNCTION_FAILED, OverloadedError, UnavailableError
from schemas.limits import DRY_RUN_SECONDS, MAX_DRY_RUN_CHILDREN, MAX_DRY_RUNS_WAITING, MODULE_LOADING_SECONDS
from schemas.messages.updates import DROPPED, FUTURE, LATE, OFFLINE_ONLY, WOULD_WRITE, Row, decode_update
from schemas.records.lateness import is_future, is_late

IDLE_SECONDS: Final = 60.0
"""After which a child that nobody needed ends."""

_log = get_logger(__name__)


@dataclass(eq=False)
class _Workspace:
    """The code of one workspace's newest plan.

    Attributes:
        failed: why views do not load, by key; None before that was tried.
        child: that runs, if one does; ``stack`` ends it.
        lock: held by the dry run that uses the child.
        waiting: dry runs that use it or wait to.
        used: when one last ended, by the loop's clock.
    """

    plan: Plan
    failed: dict[str, str] | None = None
    code: Code | None = None
    child: CodeProcess | None = None
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    used: float = 0.0

    async def end(self) -> None:
        """Ends its child."""
        self.child = None
        await self.stack.aclose()


class Rehearsals:
    """For use by one event loop.

    Args:
        record_seconds: that the functions may take for one record.
        idle_seconds: after which a child that nobody needed ends.
    """

    def __init__(self, record_seconds: float = DRY_RUN_SECONDS, idle_seconds: float = IDLE_SECONDS) -> None:
        self._record_seconds = record_seconds
        self._idle_seconds = idle_seconds
        self._workspaces: dict[str, _Workspace] = {}
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def workspaces(self) -> frozenset[str]:
        """Returns of which workspaces the code is kept ready."""
        return frozenset(self._workspaces)

    async def run(self, sources: Sources, batches: Sequence[Batch]) -> list[BatchOutcome]:
        """Runs the views' functions on batches and returns what would become of each.

        Args:
            sources: what the batches were checked against.
            batches: one for each source.

        Raises:
            OverloadedError: too many dry runs wait.
            UnavailableError: no child can be started.
        """
        return [combined(batch, await self._batch(sources.plan, batch)) for batch in batches]

    async def _batch(self, plan: Plan | None, batch: Batch) -> dict[int, RecordOutcome]:
        source, frames, views = batch.source.name, batch.frames, batch.source.views
        if plan is None or not views or not frames:
            return {index: RecordOutcome(None, {}) for index in frames}
        workspace = await self._of(plan)
        if workspace.waiting >= MAX_DRY_RUNS_WAITING:
            raise OverloadedError(
                f"{MAX_DRY_RUNS_WAITING} dry runs of the workspace wait, which is the limit; try again"
            )
        workspace.waiting += 1
        try:
            async with workspace.lock:
                return {
                    index: await self._record(workspace, source, index, frame, views) for index, frame in frames.items()
                }
        finally:
            workspace.waiting -= 1
            workspace.used = asyncio.get_running_loop().time()

    async def stop(self) -> None:
        """Ends all children."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        for workspace in self._workspaces.values():
            await workspace.end()
        self._workspaces.clear()

    async def _of(self, plan: Plan) -> _Workspace:
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().create_task(self._sweep())
        while (known := self._workspaces.get(plan.workspace)) is not None:
            if known.plan is plan:
                return known
            await self._forget(known)
        while len(self._workspaces) >= MAX_DRY_RUN_CHILDREN:
            idle = [each for each in self._workspaces.values() if not each.waiting]
            if not idle:
                raise OverloadedError(
                    f"dry runs of {MAX_DRY_RUN_CHILDREN} workspaces are in work, which is the limit; try again"
                )
            await self._forget(min(idle, key=lambda each: each.used))
        return self._workspaces.setdefault(plan.workspace, _Workspace(plan))

    async def _forget(self, workspace: _Workspace) -> None:
        self._workspaces.pop(workspace.plan.workspace, None)
        async with workspace.lock:
            await workspace.end()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._idle_seconds / 2)
            now = asyncio.get_running_loop().time()
            for workspace in list(self._workspaces.values()):
                if not workspace.waiting and now - workspace.used > self._idle_seconds:
                    await self._forget(workspace)

    async def _record(
        self, workspace: _Workspace, source: str, index: int, frame: bytes, views: tuple[ViewPlan, ...]
    ) -> RecordOutcome:
        child = workspace.child or await self._start(workspace)
        appended = time_ns() // 1_000_000
        try:
            result = await child.run(Run(source, (0, index, appended, frame, None), {}), self._record_seconds)
        except ChildFailedError as error:
            await workspace.end()
            failure = Failure(FUNCTION_FAILED, f"the process that ran this record {error}")
            return RecordOutcome(None, {view.id: failure for view in views})
        except BaseException:
            await workspace.end()  # its answer, if it comes, would be taken for that to the next record
            raise
        return _outcome(views, result)

    async def _start(self, workspace: _Workspace) -> CodeProcess:
        plan = workspace.plan
        if workspace.code is None:
            label = f"plan-{plan.number}"
            tried = await try_code(label, plan.files, module_seconds=MODULE_LOADING_SECONDS)
            problems = "; ".join(dict.fromkeys(tried.failures.values()))
            why = f"the view does not load: {problems or 'no module defines it, or two do'}"
            workspace.failed = {
                key: why for key in plan.folded_views() if key not in tried.views or key not in plan.views
            }
            workspace.code = Code(label, plan.files, dict(tried.failures), sorted(plan.views))
        task = Task([workspace.code], encode(plan), plan.number, workspace.failed or {})
        try:
            child = await workspace.stack.enter_async_context(code_process(task))
            await child.prepared(MODULE_LOADING_SECONDS)
        except NotPreparedError as error:
            await workspace.end()
            raise UnavailableError(f"the views' functions cannot be run now: {error}") from error
        workspace.child = child
        return child


def _outcome(views: tuple[ViewPlan, ...], result: Result) -> RecordOutcome:
    problems = {problem.view: problem for rejected in result.rejects for problem in rejected}
    rows: dict[int, list[Row]] = {}
    for _, data in result.updates:
        update = decode_update(data)
        rows.setdefault(update.view, []).extend(update.rows)
    failures: dict[int, Failure | None] = {}
    became: dict[int, Mapping[str, int]] = {}
    for view in views:
        problem = problems.get(view.key) or problems.get("")
        failures[view.id] = None if problem is None else Failure(problem.code, problem.message)
        if problem is None:
            became[view.id] = Counter(_became(view, rows.get(view.id, [])))
    return RecordOutcome(None, failures, became)


def _became(view: ViewPlan, rows: list[Row]) -> Iterator[str]:
    if not rows:
        yield DROPPED
    for row in rows:
        if not view.online:
            yield OFFLINE_ONLY
        elif is_late(view, row.event_time, row.append_time):
            yield LATE
        else:
            yield WOULD_WRITE
            if is_future(view, row.event_time, row.append_time):
                yield FUTURE
