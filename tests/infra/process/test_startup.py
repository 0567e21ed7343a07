import asyncio
import os
import signal
import threading
from collections.abc import Callable

import pytest

from infra.process.exit_codes import ExitCode
from infra.process.startup import ExitLatch, Startup, until_stopped
from schemas.errors import SettingsError, StorageError, UnavailableError


class Kafka:
    """Answers the questions once ``away`` has run out."""

    def __init__(self, *away: str) -> None:
        self.away = list(away)
        self.asked = 0

    def ask(self, _seconds: float) -> None:
        self.asked += 1
        if self.away:
            raise UnavailableError(self.away.pop(0))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.process.startup.PAUSE_SECONDS", 0)


def test_kafka_is_waited_for_and_what_it_lacks_is_told_until_the_role_is_up() -> None:
    told: list[str | None] = []
    topics, definitions = Kafka("refused", "no leader"), Kafka("not read")

    def seen(ask: Callable[[float], None]) -> Callable[[float], None]:
        def asked(seconds: float) -> None:
            told.append(startup.problem)
            ask(seconds)

        return asked

    startup = Startup(seen(topics.ask), seen(definitions.ask))

    async def run() -> None:
        await startup.reach_kafka()
        assert definitions.asked == 0
        await startup.read_definitions()
        assert startup.problem == "starting"
        startup.finish()

    asyncio.run(run())
    waits = [f"waiting for Kafka: {why}" for why in ("refused", "no leader", "not read")]
    assert told == ["starting", *waits[:2], "starting", waits[2]]
    assert startup.problem is None


def test_what_no_waiting_mends_ends_the_start() -> None:
    def refuse(_seconds: float) -> None:
        raise SettingsError("too few partitions")

    with pytest.raises(SettingsError):
        asyncio.run(Startup(refuse, refuse).reach_kafka())


@pytest.mark.parametrize(
    ("error", "code"),
    [(StorageError("full"), ExitCode.STORAGE), (ValueError("nobody thought of this"), ExitCode.FAILURE)],
)
def test_the_first_failure_from_any_thread_ends_the_work_and_gives_the_exit_code(error: Exception, code: int) -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    async def run() -> int:
        latch = ExitLatch()
        working = asyncio.ensure_future(latch.run(work()))
        await asyncio.sleep(0)
        for failure in (error, UnavailableError("a later one")):
            await asyncio.to_thread(latch.fail, failure)
        assert latch.error is error
        return await working

    assert asyncio.run(run()) == code
    assert ended == ["work"]


def test_what_the_work_raises_is_raised() -> None:
    async def work() -> None:
        raise SettingsError("the address is taken")

    async def run() -> int:
        return await ExitLatch().run(work())

    with pytest.raises(SettingsError):
        asyncio.run(run())


def test_a_failure_after_the_end_is_nobodys() -> None:
    async def made() -> ExitLatch:
        return ExitLatch()

    latch = asyncio.run(made())
    latch.fail(UnavailableError("late"))
    assert isinstance(latch.error, UnavailableError)


def test_a_second_signal_does_not_break_off_the_way_out() -> None:
    ended: list[str] = []
    heard = threading.Event()

    async def role() -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            asyncio.get_running_loop().call_later(0, os.kill, os.getpid(), signal.SIGTERM)
            asyncio.get_running_loop().call_later(0.05, heard.set)
            await asyncio.to_thread(heard.wait, 30)
            ended.append("cleaned up")
        return 9

    assert asyncio.run(until_stopped(role())) == ExitCode.OK
    assert ended == ["cleaned up"]
