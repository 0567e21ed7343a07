"""Keeps a set of child processes running, and ends them together.

1. Children start in their order; the next role starts when the one before is ready. Neighbours of the same role
   start, and stop, at the same time.
2. A child that dies is started again, after a pause that doubles with each death and falls back to its first length
   once the child has lived for a while.
3. A child that cannot start for the first time makes `Supervisor.start` fail; later it is tried for ever, because the
   other children still serve.
4. A child that has stopped to answer, while the supervisor itself ran, is killed: it is frozen, and may hold what the
   others need. It then counts as dead (2).
5. They stop in reverse order: SIGTERM, then SIGKILL for what is left, all within `RestartPolicy.stop_seconds`.

Invariant: no child outlives the supervisor, even if that is killed (`infra.process.parent_death`). Each child leads its
own session, so Ctrl-C in a terminal reaches the supervisor only and the order of stopping is the supervisor's.
"""

import asyncio
import contextlib
import itertools
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import httpx

from infra.logs import get_logger
from infra.process.parent_death import tied_to_parent
from infra.process.probes import answers, is_ready
from infra.process.running_clock import RunningClock
from schemas.errors import UnavailableError

STDERR: Final = 2
"""Children write their output to the supervisor's stderr, unless they are given another file."""

PROBE_SECONDS: Final = 0.1
"""Pause between two questions whether a child is ready."""

PROBE_TIMEOUT_SECONDS: Final = 1.0

LONGEST_STEP: Final = 3
"""So many pauses may lie between two looks at a child; in a longer time the supervisor itself did not run."""

KILLED_SECONDS: Final = 0.5
"""How long a killed process is waited for."""

log = get_logger(__name__)


class Stage(StrEnum):
    """What has become of a child."""

    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"


def _nobody(_stage: Stage, _why: str) -> None:
    """Looks at no child."""


@dataclass(frozen=True, slots=True)
class Child:
    """A process to keep running.

    Attributes:
        role: for logs; neighbours of one role form a group.
        argv: program and arguments.
        ready_url: ``http://…`` is ready when it answers 200, ``kafka://HOST:PORT`` when the broker answers.
        alive_url: lives when it answers, whatever it says; ``http://…`` or ``kafka://HOST:PORT``.
        environ: variables on top of the supervisor's own.
        output: file descriptor that gets what it writes to stdout and stderr.
        observe: called with each stage and, where there is one, the reason; on the supervisor's event loop. Of a child
            that was started again, nobody is told that it is ready: the supervisor asks only until it was once.
        name: for logs, where there are several of its role.
    """

    role: str
    argv: Sequence[str]
    ready_url: str
    alive_url: str
    environ: Mapping[str, str] = field(default_factory=dict)
    output: int = STDERR
    observe: Callable[[Stage, str], None] = _nobody
    name: str = ""

    @property
    def shown(self) -> str:
        """What it is called in logs and errors."""
        return self.name or self.role


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """How patient a supervisor is; all times in seconds."""

    first_pause: float = 0.5
    longest_pause: float = 30.0
    healthy_after: float = 60.0
    """A child that lived this long starts again after `first_pause`, whatever was before."""
    start_deaths: int = 5
    """Deaths before a child was ever ready that make it a child that cannot start."""
    ready_seconds: float = 180.0
    """How long a child may take to be ready for the first time, its deaths and the download of Kafka included."""
    look_seconds: float = 2.0
    """Pause between two looks at whether a child has answered."""
    frozen_seconds: float = 30.0
    """How long a child may leave a question unanswered."""
    first_answer_seconds: float = 1_800.0
    """The same until its first answer: a broker may have a long log to look through."""
    stop_seconds: float = 9.0
    """How long all children together may take to stop."""
    least_grace: float = 1.0
    """Part of `stop_seconds` that is kept for each role that has yet to stop."""

    def pause(self, deaths: int) -> float:
        """Returns the pause after so many deaths in a row, at least 1."""
        doublings = min(deaths - 1, 32)  # More would overflow nothing, but mean nothing either.
        return min(self.first_pause * 2.0**doublings, self.longest_pause)


class Supervisor:
    """Starts, restarts and stops children, as the module says.

    Args:
        children: in the order in which they start.
        pace: how patient to be.
    """

    def __init__(self, children: Sequence[Child], pace: RestartPolicy | None = None) -> None:
        self._pace = pace or RestartPolicy()
        groups = itertools.groupby(children, key=lambda child: child.role)
        self._groups = [[_Keeper(child, self._pace) for child in group] for _, group in groups]

    async def start(self) -> None:
        """Starts all children and waits until each is ready.

        Raises:
            UnavailableError: a child kept dying or was not ready in time; call `stop` to end the others.
        """
        for group in self._groups:
            for keeper in group:
                keeper.start()
            for keeper in group:
                await keeper.wait_ready()

    async def stop(self) -> None:
        """Stops all children, last role first; may be called at any time."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._pace.stop_seconds
        for left, group in reversed(list(enumerate(self._groups))):
            grace = max(end - loop.time() - left * self._pace.least_grace, KILLED_SECONDS)
            await asyncio.gather(*(keeper.stop(grace) for keeper in group))


class _Keeper:
    """Keeps one child running."""

    def __init__(self, child: Child, pace: RestartPolicy) -> None:
        self._child = child
        self._pace = pace
        self._stopping = asyncio.Event()
        self._was_ready = False
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep(), name=f"keep {self._child.shown}")

    async def wait_ready(self) -> None:
        kept = self._task
        if kept is None:
            return
        probe = asyncio.create_task(_until_ready(self._child.ready_url))
        try:
            await asyncio.wait({probe, kept}, timeout=self._pace.ready_seconds, return_when=asyncio.FIRST_COMPLETED)
            if kept.done():
                kept.result()
            elif probe.done():
                self._was_ready = probe.result()
                self._child.observe(Stage.READY, "")
                log.info("child is ready", child=self._child.shown, url=self._child.ready_url)
            else:
                raise UnavailableError(
                    f"{self._child.shown} was not ready at {self._child.ready_url} after "
                    f"{self._pace.ready_seconds:g} s; its log lines say what it waits for"
                )
        finally:
            probe.cancel()
            await asyncio.wait({probe})

    async def stop(self, grace: float) -> None:
        self._stopping.set()
        if self._task is None:
            return
        if not self._task.done():
            self._child.observe(Stage.STOPPING, "")
        if self._process is not None:
            _send(self._process, signal.SIGTERM)
        await asyncio.wait({self._task}, timeout=grace)
        if not self._task.done() and self._process is not None:
            log.warning("child did not stop in time and is killed", child=self._child.shown, pid=self._process.pid)
            _end_session(self._process.pid)
            await asyncio.wait({self._task}, timeout=KILLED_SECONDS)
        if self._task.done() and not self._task.cancelled():
            self._task.exception()  # Who waited for readiness has had it; asked for again so that it counts as seen.

    async def _keep(self) -> None:
        deaths = 0
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            born = loop.time()
            status = await self._live_once()
            if self._stopping.is_set():
                break
            deaths = 1 if loop.time() - born >= self._pace.healthy_after else deaths + 1
            if not self._was_ready and deaths >= self._pace.start_deaths:
                message = (
                    f"{self._child.shown} died {deaths} times before it was ready, the last time with "
                    f"{_describe(status)}; its log lines say why"
                )
                self._child.observe(Stage.STOPPED, _describe(status))
                raise UnavailableError(message)
            pause = self._pace.pause(deaths)
            self._child.observe(Stage.RESTARTING, f"{_describe(status)}, again in {pause:g} s")
            log.error("child died", child=self._child.shown, ended=_describe(status), restart_in_seconds=pause)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
        self._child.observe(Stage.STOPPED, "")

    async def _live_once(self) -> int:
        process = await asyncio.create_subprocess_exec(
            *tied_to_parent(self._child.argv),
            stdin=DEVNULL,
            stdout=self._child.output,
            stderr=self._child.output,
            env={**os.environ, **self._child.environ},
            start_new_session=True,
        )
        self._process = process
        self._child.observe(Stage.STARTING, "")
        log.info("child started", child=self._child.shown, pid=process.pid)
        if self._stopping.is_set():
            _send(process, signal.SIGTERM)
        watch = asyncio.create_task(self._watch(process), name=f"watch {self._child.shown}")
        try:
            status = await process.wait()
        finally:
            watch.cancel()
            await asyncio.wait({watch})
        self._process = None
        _end_session(process.pid)
        return status

    async def _watch(self, process: Process) -> None:
        """Kills the child once a question has been without an answer for too long."""
        clock = RunningClock(LONGEST_STEP * self._pace.look_seconds)
        limit = self._pace.first_answer_seconds
        question: asyncio.Task[bool] | None = None
        async with httpx.AsyncClient(trust_env=False, timeout=None) as client:  # noqa: S113 - the limit is ours
            try:
                answered = clock.now()
                while (silent := clock.now() - answered) < limit:
                    question = question or asyncio.create_task(answers(client, self._child.alive_url))
                    done, _ = await asyncio.wait({question}, timeout=self._pace.look_seconds)
                    if done:
                        if question.result():
                            answered, limit = clock.now(), self._pace.frozen_seconds
                        question = None
                        await asyncio.sleep(self._pace.look_seconds)
            finally:
                if question is not None:
                    question.cancel()
                    await asyncio.wait({question})
        log.error(
            "child does not answer and is killed", child=self._child.shown, pid=process.pid, seconds=round(silent)
        )
        _end_session(process.pid)


def _send(process: Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def _end_session(leader: int) -> None:
    """Kills what a child leaves behind: its process group still bears its id."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _describe(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


async def _until_ready(url: str) -> bool:
    async with httpx.AsyncClient(trust_env=False, timeout=PROBE_TIMEOUT_SECONDS) as client:
        while True:
            # Not asyncio.wait_for: until Python 3.12 it loses a cancellation that comes with the answer.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                    if await is_ready(client, url):
                        return True
            await asyncio.sleep(PROBE_SECONDS)
