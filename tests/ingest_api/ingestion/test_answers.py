import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

import pytest

from ingest_api.ingestion.answers import Answers
from ingest_api.ingestion.pending import Failure, RecordOutcome
from ingest_api.ingestion.publisher import Delivery
from schemas.errors import UNAVAILABLE, OverloadedError
from schemas.limits import MAX_INGEST_REQUESTS
from schemas.messages.updates import Transformed

LONG = 60.0
DROPPED = Transformed(b"r", 0, [], [])
STORED = RecordOutcome(None, {1: None}, {1: {"dropped": 1}})


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        async with asyncio.timeout(20):
            await scenario()

    asyncio.run(within())


def waiting_for(answers: Answers) -> int:
    return len(answers._book) + len(answers._futures)  # noqa: SLF001 - that nothing is kept is the promise


def test_an_answer_ends_the_wait_and_the_book_forgets() -> None:
    async def scenario() -> None:
        answers = Answers(LONG)
        with answers.waiting(b"r", [[1]]) as future:
            answers.take([Transformed(b"other", 0, [], [])])
            assert not future.done()
            answers.take([DROPPED])
            assert await future == (STORED,)
            answers.take([DROPPED])  # once more
        assert waiting_for(answers) == 0

    run(scenario)


def test_what_kafka_said_ends_the_wait_of_records_without_views() -> None:
    async def scenario() -> None:
        answers = Answers(LONG)
        with answers.waiting(b"r", [[], []]) as future:
            answers.deliver([Delivery(b"r", 0, None)])
            assert not future.done()
            answers.deliver([Delivery(b"r", 1, "Local: Message timed out")])
            lost = Failure(UNAVAILABLE, "Local: Message timed out", retryable=True)
            assert await future == (RecordOutcome(None, {}), RecordOutcome(lost, {}))

    run(scenario)


def test_a_caller_that_goes_away_is_forgotten_and_its_answers_find_nobody() -> None:
    async def scenario() -> None:
        answers = Answers(LONG)

        async def call() -> None:
            with answers.waiting(b"r", [[1]]) as future:
                await future

        task = asyncio.create_task(call())
        await asyncio.sleep(0)
        assert waiting_for(answers) == 2
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert waiting_for(answers) == 0
        answers.take([DROPPED])
        answers.deliver([Delivery(b"r", 0, "late")])

    run(scenario)


def test_an_answer_to_a_call_that_is_being_cancelled_is_dropped() -> None:
    async def scenario() -> None:
        answers = Answers(LONG)
        with answers.waiting(b"r", [[1]]) as future:
            future.cancel()
            answers.take([DROPPED])
        assert future.cancelled()

    run(scenario)


def test_each_request_ends_at_its_own_deadline() -> None:
    async def scenario() -> None:
        answers = Answers(0.01)
        with answers.waiting(b"a", [[1]]) as first:
            (outcome,) = await first
            with answers.waiting(b"b", [[1]]) as second:
                assert not second.done()
                await second
        failure = outcome.views[1]
        assert failure is not None
        assert (failure.code, failure.retryable) == (UNAVAILABLE, True)
        assert waiting_for(answers) == 0

    run(scenario)


def test_one_timer_serves_all_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        set_at: list[float] = []
        call_at = loop.call_at

        def noted(when: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
            set_at.append(when)
            return call_at(when, callback)

        answers = Answers(LONG)
        monkeypatch.setattr(loop, "call_at", noted)
        with answers.waiting(b"a", [[1]]), answers.waiting(b"b", [[1]]), answers.waiting(b"c", [[1]]):
            assert len(set_at) == 1
        monkeypatch.undo()

    run(scenario)


def test_a_request_for_which_there_is_no_room_leaves_nothing() -> None:
    async def scenario() -> None:
        answers = Answers(LONG)
        with ExitStack() as waiting:
            for number in range(MAX_INGEST_REQUESTS):
                waiting.enter_context(answers.waiting(b"%d" % number, [[1]]))
            with pytest.raises(OverloadedError):
                waiting.enter_context(answers.waiting(b"one too many", [[1]]))
            assert waiting_for(answers) == 2 * MAX_INGEST_REQUESTS
        assert waiting_for(answers) == 0

    run(scenario)
