"""How every long-running process starts, fails and stops: the same way, whatever its role.

It waits until Kafka has the topics that every process needs and the definitions are read; it ends when a signal asks
for it, or with the first failure that it cannot mend.

Invariant: Kafka being away at the start is no failure: it is waited for, and ``Startup.problem`` tells. There is one
way to stop a role, cancelling its task: what it opened is closed on the way out.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine
from typing import Any, Final

from infra.logs import get_logger
from infra.process.exit_codes import ExitCode, exit_code_of
from schemas.errors import HeadraceError, UnavailableError

ASK_SECONDS: Final = 2.0
"""What one question to Kafka may take; it is asked again, and a stop may have to wait as long."""

PAUSE_SECONDS: Final = 0.2

Ask = Callable[[float], object]
"""Asks Kafka for something, for so many seconds at most; raises UnavailableError if it does not answer."""

_log = get_logger(__name__)


class Startup:
    """Waits for Kafka; for use by one event loop.

    Args:
        prepare: makes sure of the topics that every process needs.
        read: reads the definitions to their end.
        ask_seconds: what one call of either may take.

    Attributes:
        problem: what the process waits for, in words; None once the role has said that it is up.
    """

    def __init__(self, prepare: Ask, read: Ask, *, ask_seconds: float = ASK_SECONDS) -> None:
        self.problem: str | None = "starting"
        self._prepare = prepare
        self._read = read
        self._ask_seconds = ask_seconds

    async def reach_kafka(self) -> None:
        """Waits until Kafka answers and has the topics that every process needs.

        Raises:
            SettingsError: Kafka refuses the settings.
        """
        await self._until_answered(self._prepare)

    async def read_definitions(self) -> None:
        """Waits until all definitions that were published before this call are read; they are followed already."""
        await self._until_answered(self._read)
        _log.info("definitions read")

    def finish(self) -> None:
        """Note that the process is up."""
        self.problem = None

    async def _until_answered(self, ask: Ask) -> None:
        while True:
            try:
                await asyncio.to_thread(ask, self._ask_seconds)
            except UnavailableError as error:
                problem = f"waiting for Kafka: {error.message}"
                if problem != self.problem:
                    _log.warning("waiting for Kafka", problem=error.message)
                self.problem = problem
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                self.problem = "starting"
                return


class ExitLatch:
    """Remembers the first failure that a process cannot mend, from whichever thread it comes. Made in the event loop.

    Attributes:
        error: that failure, or None.
    """

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self._loop = asyncio.get_running_loop()
        self._happened = asyncio.Event()

    def fail(self, error: BaseException) -> None:
        """Has the process end; from any thread, any number of times."""
        first, self.error = self.error is None, self.error or error
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process has ended already
            self._loop.call_soon_threadsafe(self._happened.set)
        if first:
            trace = None if isinstance(error, HeadraceError) else error
            _log.error("process ends", problem=str(error), kind=type(error).__name__, exc_info=trace)

    async def exit_code(self) -> int:
        """Waits for the failure; returns the exit code that tells of it."""
        await self._happened.wait()
        return exit_code_of(self.error) if isinstance(self.error, HeadraceError) else ExitCode.FAILURE

    async def run(self, work: Coroutine[Any, Any, None]) -> int:
        """Runs what never ends by itself until the failure, then cancels it; returns the exit code.

        Raises whatever the work raises.
        """
        working = asyncio.ensure_future(work)
        failing = asyncio.ensure_future(self.exit_code())
        try:
            await asyncio.wait({working, failing}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
            return await failing
        finally:
            working.cancel()
            failing.cancel()
            await asyncio.wait({working, failing})


async def until_stopped(work: Coroutine[Any, Any, int]) -> int:
    """Runs a role until it ends, or SIGTERM or SIGINT asks for it; returns its exit code.

    Further signals change nothing: the way out, on which what was begun is finished, is not cancelled once more.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)

    def stop() -> None:
        if not task.cancelling():
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await asyncio.wait({task})
    return ExitCode.OK if task.cancelled() else task.result()
