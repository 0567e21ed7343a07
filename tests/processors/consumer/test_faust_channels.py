import asyncio
import logging
from pathlib import Path
from typing import Any, cast

import pytest

from processors.consumer.batches import Batch, PartitionWorker
from processors.consumer.faust_channels import add_agent, make_app, stop_app


class Recording:
    """An owner that notes its batches, and fails at one of them."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.is_owned = True
        self.seen: list[int] = []
        self._fails_at = fails_at

    async def process(self, batch: Batch) -> None:
        number = cast("int", batch.messages[0])
        await asyncio.sleep(0)
        if number == self._fails_at:
            raise SystemExit(3)
        self.seen.append(number)
        batch.done()


def batch(owner: Recording, number: int, done: Any) -> Batch:
    return Batch(cast("PartitionWorker", owner), cast("Any", [number]), done)


async def run(owner: Recording, count: int) -> tuple[list[BaseException], int]:
    failures: list[BaseException] = []
    app = make_app()
    send = add_agent(app, "test", failures.append)
    await app.start()
    done = 0

    def one_more() -> None:
        nonlocal done
        done += 1

    for number in range(count):
        await send(batch(owner, number, one_more))
    async with asyncio.timeout(20):
        while not failures and done < count:  # noqa: ASYNC110 - the agent tells nobody
            await asyncio.sleep(0.01)
    await stop_app(app)
    return failures, done


def test_batches_are_processed_in_order_one_at_a_time() -> None:
    owner = Recording()
    assert asyncio.run(run(owner, 50)) == ([], 50)
    assert owner.seen == list(range(50))


def test_what_faust_says_is_said_in_its_name(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    asyncio.run(run(Recording(), 1))
    said = [record.name for record in caplog.records if "Starting" in record.getMessage()]
    assert said
    assert {name.partition(".")[0] for name in said} <= {"faust", "mode"}


def test_nothing_is_made_where_the_process_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert asyncio.run(run(Recording(), 1)) == ([], 1)
    assert list(tmp_path.iterdir()) == []


def test_an_exception_ends_the_process_and_no_batch_after_it_is_begun() -> None:
    owner = Recording(fails_at=2)
    failures, done = asyncio.run(run(owner, 10))
    assert [type(failure) for failure in failures] == [SystemExit]
    assert (owner.seen, done) == ([0, 1], 2)


def test_a_batch_whose_partition_was_let_go_is_given_back_unseen() -> None:
    owner = Recording(fails_at=0)
    owner.is_owned = False
    assert asyncio.run(run(owner, 3)) == ([], 3)
    assert owner.seen == []
