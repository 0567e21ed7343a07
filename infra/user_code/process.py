"""A child process that loads a plan's code: the guard of everything that user code may do to a process.

Invariant: whatever the code does (endless loop, memory, a crash in native code), this process lives, knows what the
child was doing, and the child ends with the block that started it, or with this process.
"""

import asyncio
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from infra.process.parent_death import PYTHON, tied_to_parent
from infra.user_code.child import LENGTH_BYTES, Answer, Ready, Result, Run, Step, Task, framed
from schemas.definitions.repository import BEGINS

MAX_ANSWER_BYTES: Final = 256 * 1024**2
ENDING_SECONDS: Final = 5.0  # for a child that has closed its output

_ANSWER: Final[msgspec.msgpack.Decoder[Answer]] = msgspec.msgpack.Decoder(Answer)


class ChildFailedError(Exception):
    """The child died, hangs or said what it should not; the text says how, for after "the process"."""


class NotPreparedError(Exception):
    """The code did not come so far that a record could run.

    Args:
        problem: why.
        module: the one that ran at that moment, by dotted name; None if none did.
    """

    def __init__(self, problem: str, module: str | None) -> None:
        super().__init__(problem)
        self.module = module


class CodeProcess:
    """A running child, from ``code_process``."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def prepared(self, seconds: float) -> Ready:
        """Waits until the code is loaded.

        Args:
            seconds: that each module may take.

        Raises:
            NotPreparedError: the child failed before.
        """
        running: list[str] = []
        while True:
            try:
                answer = await self._next(seconds)
            except ChildFailedError as error:
                raise NotPreparedError(
                    f"the process that tried this code {error}", running[-1] if running else None
                ) from error
            match answer:
                case Step(event, module) if event == BEGINS:
                    running.append(module)
                case Step():
                    del running[-1:]
                case Ready():
                    return answer
                case Result():
                    raise NotPreparedError("the process that tried this code answered out of turn", None)

    async def run(self, run: Run, seconds: float) -> Result:
        """Gives a record to a child that is prepared, and waits for what it became.

        Raises:
            ChildFailedError: the child did not come to an end with it within ``seconds``; no other may follow.
        """
        assert self._process.stdin is not None  # noqa: S101 - it was started with a pipe
        self._process.stdin.write(framed(run))
        answer = await self._next(seconds)
        if not isinstance(answer, Result):
            raise ChildFailedError("answered out of turn")
        return answer

    async def _next(self, seconds: float) -> Answer:
        output = self._process.stdout
        assert output is not None  # noqa: S101 - it was started with a pipe
        try:
            async with asyncio.timeout(seconds):
                size = int.from_bytes(await output.readexactly(LENGTH_BYTES), "little")
                if size > MAX_ANSWER_BYTES:
                    raise ChildFailedError("wrote where its answers go")
                return _ANSWER.decode(await output.readexactly(size))
        except TimeoutError:
            raise ChildFailedError(f"did not end within {seconds:g} s") from None
        except asyncio.IncompleteReadError:
            raise ChildFailedError(f"ended with {await self._status()}") from None
        except msgspec.DecodeError:
            raise ChildFailedError("wrote where its answers go") from None

    async def _status(self) -> str:
        try:
            async with asyncio.timeout(ENDING_SECONDS):
                status = await self._process.wait()
        except TimeoutError:
            return "its output closed"
        if status < 0:
            return f"signal {signal.Signals(-status).name}"
        return f"exit status {status}" + (" and without an answer" if status == 0 else "")


@asynccontextmanager
async def code_process(task: Task) -> AsyncIterator[CodeProcess]:
    """Starts a child with a task; it is gone at the end of the block.

    Raises:
        NotPreparedError: the system cannot start it.
    """
    command = tied_to_parent([*PYTHON, "-m", "infra.user_code.child"])
    try:
        process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    except OSError as error:
        raise NotPreparedError(f"a process to try this code in cannot be started: {error.strerror}", None) from error
    try:
        assert process.stdin is not None  # noqa: S101 - it was started with a pipe
        process.stdin.write(framed(task))
        yield CodeProcess(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
