"""What the parent makes of what a child says and how it ends; the child is a stream here, not as in `test_trial`."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import pytest

from infra.user_code import process as module
from infra.user_code.child import LENGTH_BYTES, Answer, Ready, Result, Run, Step, Task, framed
from infra.user_code.process import (
    MAX_ANSWER_BYTES,
    ChildFailedError,
    CodeProcess,
    NotPreparedError,
    code_process,
)

T = TypeVar("T")

READY = Ready(["a@V1"], {})
RUN = Run("s", (0, 0, 0, b"", None), {})
RESULT = Result([(0, b"update")], [], {}, 1, {})


class Child:
    """A process that has said something, and has ended with a status unless that is None."""

    def __init__(self, output: bytes, status: int | None) -> None:
        self.stdout = asyncio.StreamReader()
        self.stdout.feed_data(output)
        self.returncode = status
        self.killed = False
        self.task = b""
        self.stdin = SimpleNamespace(write=self._write)

    def _write(self, data: bytes) -> None:
        self.task += data

    async def wait(self) -> int:
        if self.returncode is None:
            await asyncio.Event().wait()
        return cast("int", self.returncode)

    def kill(self) -> None:
        self.killed = True
        self.returncode = -signal.SIGKILL


def ask(
    call: Callable[[CodeProcess], Coroutine[Any, Any, T]],
    *answers: Answer | bytes,
    status: int | None = 0,
    closed: bool = True,
) -> T:
    """Calls a method of a child that has said this."""

    async def scenario() -> T:
        output = b"".join(each if isinstance(each, bytes) else framed(each) for each in answers)
        child = Child(output, status)
        if closed:
            child.stdout.feed_eof()
        async with asyncio.timeout(20):
            return await call(CodeProcess(cast("asyncio.subprocess.Process", child)))

    return asyncio.run(scenario())


def prepare(process: CodeProcess) -> Coroutine[Any, Any, Ready]:
    return process.prepared(0.01)


def finish(process: CodeProcess) -> Coroutine[Any, Any, Result]:
    return process.run(RUN, 0.01)


BEGUN = [Step("begins", "a"), Step("begins", "b"), Step("ends", "b")]


def test_a_child_that_is_ready_has_loaded_its_modules() -> None:
    assert ask(prepare, *BEGUN, Step("ends", "a"), READY) == READY
    assert ask(finish, RESULT) == RESULT


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (3, "ended with exit status 3"),
        (0, "ended with exit status 0 and without an answer"),
        (-signal.SIGSEGV, "ended with signal SIGSEGV"),
    ],
)
def test_how_a_child_died_is_said_with_the_module_that_ran(status: int, said: str) -> None:
    with pytest.raises(NotPreparedError) as caught:
        ask(prepare, *BEGUN, status=status)
    assert (str(caught.value), caught.value.module) == (f"the process that tried this code {said}", "a")
    with pytest.raises(ChildFailedError, match=f"^{said}$"):
        ask(finish, status=status)


@pytest.mark.parametrize(
    ("steps", "running"),
    [
        ([], None),
        (BEGUN[:1], "a"),
        (BEGUN[:2], "b"),
        (BEGUN, "a"),
        ([*BEGUN, Step("ends", "a")], None),
        ([Step("ends", "a")], None),
    ],
)
def test_the_module_that_ran_is_the_innermost_that_had_not_ended(steps: list[Step], running: str | None) -> None:
    with pytest.raises(NotPreparedError) as caught:
        ask(prepare, *steps)
    assert caught.value.module == running


def test_a_child_that_hangs_is_given_up_after_its_time() -> None:
    with pytest.raises(ChildFailedError, match=r"did not end within 0\.01 s"):
        ask(finish, status=None, closed=False)


def test_a_child_that_closed_its_output_and_goes_on_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENDING_SECONDS", 0.01)
    with pytest.raises(ChildFailedError, match="ended with its output closed"):
        ask(finish, status=None)


@pytest.mark.parametrize(
    "output",
    [
        b"native code wrote this",
        (MAX_ANSWER_BYTES + 1).to_bytes(LENGTH_BYTES, "little"),
        b"\x01\x00\x00\x00\xc1",
        b"\x05\x00\x00\x00\x94\xa4what",
        b"\x00\x00\x00\x00",
    ],
)
def test_what_is_no_answer_was_written_where_answers_go(output: bytes) -> None:
    with pytest.raises(ChildFailedError, match="wrote where its answers go"):
        ask(finish, output)


def test_an_answer_that_is_cut_off_is_the_end() -> None:
    with pytest.raises(ChildFailedError, match="ended with exit status 7"):
        ask(finish, framed(RESULT)[:-1], status=7)


def test_an_answer_out_of_turn_is_no_answer() -> None:
    with pytest.raises(NotPreparedError, match="answered out of turn"):
        ask(prepare, RESULT)
    with pytest.raises(ChildFailedError, match="answered out of turn"):
        ask(finish, READY)


class TestStarting:
    TASK = Task([])

    def started(self, monkeypatch: pytest.MonkeyPatch, child: Child | OSError) -> None:
        async def start(*_command: str, **_pipes: int) -> Child:
            if isinstance(child, OSError):
                raise child
            return child

        monkeypatch.setattr(asyncio, "create_subprocess_exec", start)

    def test_the_child_gets_its_task(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def scenario() -> Child:
            child = Child(framed(READY), 0)
            self.started(monkeypatch, child)
            async with code_process(self.TASK) as process:
                assert await process.prepared(1) == READY
            return child

        child = asyncio.run(scenario())
        assert child.task == framed(self.TASK)
        assert not child.killed

    @pytest.mark.parametrize("error", [ChildFailedError("x"), asyncio.CancelledError()])
    def test_the_child_is_gone_at_the_end_of_the_block(
        self, error: BaseException, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def scenario() -> Child:
            child = Child(b"", None)
            self.started(monkeypatch, child)
            with pytest.raises(type(error)):
                async with code_process(self.TASK):
                    raise error
            return child

        assert asyncio.run(scenario()).killed

    def test_a_system_that_starts_none_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def scenario() -> None:
            async with code_process(self.TASK):
                pytest.fail("there is no process")

        self.started(monkeypatch, OSError(11, "Resource temporarily unavailable"))
        with pytest.raises(NotPreparedError, match="cannot be started: Resource temporarily unavailable") as caught:
            asyncio.run(scenario())
        assert caught.value.module is None
