import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from processors.consumer import assignment as partitions
from processors.consumer.assignment import Partitions
from schemas.errors import StorageError, UnavailableError

WHERE = ("prod.updates", 3)


class Counting:
    """An owner that does nothing but remember."""

    def __init__(self, start: int | None = None) -> None:
        self.is_owned = True
        self.next_offset = 0
        self.waits_for: str | None = None
        self.committable: int | None = None
        self.closed_while_open: bool | None = None
        self._start = start

    def start_offset(self, committed: int | None, _earliest: int) -> int | None:
        return committed if self._start is None else self._start

    def close(self) -> None:
        self.closed_while_open = self.is_owned


class Received:
    """A message of which only the offset counts."""

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def offset(self) -> int:
        return self._offset


def messages(*offsets: int) -> Any:
    return [Received(offset) for offset in offsets]


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def owned(loop: asyncio.AbstractEventLoop, owner: Counting | None, *, reset: bool = False) -> Partitions:
    return Partitions(loop, lambda *_: owner, reset_to_earliest=reset)


def test_a_partition_begins_where_its_owner_says(loop: asyncio.AbstractEventLoop) -> None:
    owner = Counting(start=7)
    held = owned(loop, owner)
    assert held.take(WHERE, None, lambda: (0, 9)) == 7
    assert (owner.next_offset, held.lag()) == (7, {WHERE: 0})
    held.note_end(WHERE, 9)
    assert held.lag() == {WHERE: 2}


def test_a_partition_without_an_owner_is_not_read(loop: asyncio.AbstractEventLoop) -> None:
    held = owned(loop, None)
    assert held.take(WHERE, None, lambda: (0, 9)) is None
    assert held.receive(WHERE, messages(1)) is None


def test_records_that_expired_unread_are_passed_over_where_that_is_allowed(loop: asyncio.AbstractEventLoop) -> None:
    assert owned(loop, Counting(), reset=True).take(WHERE, 2, lambda: (5, 9)) == 5


def test_an_owner_whose_records_are_gone_is_closed_and_not_kept(loop: asyncio.AbstractEventLoop) -> None:
    owner = Counting(start=2)
    held = owned(loop, owner)
    with pytest.raises(StorageError, match=r"prod\.updates partition 3"):
        held.take(WHERE, None, lambda: (5, 9))
    assert (owner.closed_while_open, held.owners) == (True, {})


def test_messages_pass_in_order_and_never_twice(loop: asyncio.AbstractEventLoop) -> None:
    owner = Counting(start=7)
    held = owned(loop, owner)
    held.take(WHERE, None, lambda: (0, 20))
    assert held.receive(WHERE, messages(7, 8)) is owner
    assert held.receive(WHERE, messages(11)) is owner  # transactions and compaction leave gaps
    with pytest.raises(StorageError, match="offset 11 came after 11"):
        held.receive(WHERE, messages(11))


def test_what_no_consumer_sees_is_no_lag(loop: asyncio.AbstractEventLoop) -> None:
    owner = Counting(start=7)
    held = owned(loop, owner)
    held.take(WHERE, None, lambda: (0, 20))
    held.receive(WHERE, messages(7, 8))
    held.note_end(WHERE, 10)  # the marker of the records' transaction is at 9
    assert held.lag() == {WHERE: 3}
    owner.next_offset = 9
    assert held.lag() == {WHERE: 1}
    held.note_passed(WHERE, 10)
    assert held.lag() == {WHERE: 0}


def test_an_open_transaction_is_no_lag_until_more_can_be_read(loop: asyncio.AbstractEventLoop) -> None:
    owner = Counting(start=7)
    held = owned(loop, owner)
    held.take(WHERE, None, lambda: (0, 7))
    held.note_emptied(WHERE, 7)
    held.note_end(WHERE, 12)
    assert held.lag() == {WHERE: 0}
    held.receive(WHERE, messages(7))
    assert held.lag() == {WHERE: 5}


def test_a_record_that_waits_is_lag_wherever_the_client_has_read_to(loop: asyncio.AbstractEventLoop) -> None:
    held = owned(loop, Counting(start=7))
    held.take(WHERE, None, lambda: (0, 7))
    held.receive(WHERE, messages(7))
    held.note_emptied(WHERE, 8)
    held.note_end(WHERE, 8)
    assert held.lag() == {WHERE: 1}


def test_a_group_passes_markers_once_all_before_them_is_done(loop: asyncio.AbstractEventLoop) -> None:
    owner = Counting(start=7)
    held = owned(loop, owner)
    held.take(WHERE, None, lambda: (0, 20))
    held.note_passed(WHERE, 9)  # nothing but markers so far
    assert held.to_commit() == {WHERE: 9}
    held.receive(WHERE, messages(9, 10))
    held.note_passed(WHERE, 12)
    owner.committable = 10
    assert held.to_commit() == {WHERE: 10}
    owner.committable = 11
    assert held.to_commit() == {WHERE: 12}


def test_a_released_owner_is_fenced_before_it_is_closed(loop: asyncio.AbstractEventLoop) -> None:
    owner = Counting(start=0)
    held = owned(loop, owner)
    held.take(WHERE, None, lambda: (0, 0))
    held.release([WHERE, ("other", 0)])
    assert owner.closed_while_open is False
    assert held.receive(WHERE, messages(0)) is None


def test_a_busy_event_loop_is_told_and_nothing_is_closed(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "FENCE_SECONDS", 0.05)
    owner, free = Counting(start=0), threading.Event()
    held = owned(loop, owner)
    held.take(WHERE, None, lambda: (0, 0))
    loop.call_soon_threadsafe(free.wait, 30)
    with pytest.raises(UnavailableError, match="busy"):
        held.release([WHERE])
    free.set()
    assert owner.closed_while_open is None


def test_offsets_are_committed_once_each_and_again_if_that_failed(loop: asyncio.AbstractEventLoop) -> None:
    owner = Counting(start=0)
    held = owned(loop, owner)
    held.take(WHERE, None, lambda: (0, 0))
    assert held.to_commit() == {}
    owner.committable = 5
    assert [held.to_commit(), held.to_commit()] == [{WHERE: 5}, {}]
    held.not_committed([WHERE, ("other", 0)])
    assert held.to_commit() == {WHERE: 5}
