from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from processors.logs.offline_log import OfflineLog, read_updates
from processors.materialize.step import MaterializeStep, StoreFailedError
from processors.producer.messages import OutMessage
from schemas.definitions.plan import Plan, ViewPlan
from schemas.errors import StorageError
from schemas.messages.updates import ReplyAddress, Update, UpdateMessage, Waiting, Written, decode_acks
from schemas.state.keys import NEXT_OFFSET, digest_key
from schemas.state.values import next_offset_of
from tests.support.column_types import canonical, row_of, update_of
from tests.support.flow import AT, INSTALLATION, WORKSPACE, plan
from tests.support.histories import History, examples, histories, updates_of
from tests.support.memory_disk import MemoryDisk
from tests.support.memory_state import MemoryState, Write

PLAN = plan()
NEWEST, TOTALS = PLAN.views["newest@V1"], PLAN.views["totals@V1"]
ALL = {view.id: view for view in PLAN.views.values()}


class FailingState(MemoryState):
    """A state whose store fails when told to: on the next write, or on the next read."""

    fails = ""

    def write(
        self, operations: Mapping[bytes, bytes | None] | Sequence[Write], *, dropped: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        if self.fails == "write":
            raise StorageError("database state: the disk is full")
        super().write(operations, dropped=dropped)

    def get(self, key: bytes) -> bytes | None:
        if self.fails == "read":
            raise StorageError("database state: the database is damaged")
        return super().get(key)


class Stores(NamedTuple):
    disk: MemoryDisk
    state: FailingState

    def step(self, of: Plan = PLAN) -> MaterializeStep:
        """Opens what is there, as a process that takes the partition over does."""
        log = OfflineLog(self.disk, WORKSPACE, 3)
        log.open()
        step = MaterializeStep(WORKSPACE, 3, log, self.state, ALL, INSTALLATION)
        step.use(of)
        return step

    def logged(self) -> list[int]:
        return [message.offset for message in read_updates(self.disk, WORKSPACE, 3)]


@pytest.fixture
def stores() -> Stores:
    return Stores(MemoryDisk(), FailingState())


def message(offset: int, view: ViewPlan = NEWEST, *, user: str = "u", replies: Sequence[int] = ()) -> UpdateMessage:
    """Returns an update of one row; someone waits for it in each of the reply partitions."""
    values = {"user": user, "amount": 1.5, "at": AT + offset}
    row = row_of(user, AT + offset, AT // 1000, offset)
    row.values = [values[column.name] for column in view.columns]
    update = update_of(view, [row])
    update.waiting = [Waiting(ReplyAddress(partition, b"request", offset, INSTALLATION), 1) for partition in replies]
    return UpdateMessage(offset, update)


def answers(messages: Sequence[OutMessage]) -> dict[int | None, list[Written]]:
    return {
        m.partition: [ack for ack in decode_acks(m.value or b"") if isinstance(ack, Written)]
        for m in messages
        if m.topic == "prod.acks"
    }


def written(index: int, view: ViewPlan, became: dict[str, int], rows: int = 1) -> Written:
    return Written(b"request", index, view.id, 3, rows, became=became)


def test_callers_of_another_installation_are_left_to_it(stores: Stores) -> None:
    theirs = message(0)
    theirs.update.waiting = [Waiting(ReplyAddress(4, b"request", 0, "elsewhere"), 1)]
    assert stores.step().run([theirs], 1).acks == []
    assert stores.logged() == [0]


def test_each_reply_partition_gets_one_message_with_all_its_answers(stores: Stores) -> None:
    done = stores.step().run(
        [message(0, replies=[4]), message(1, TOTALS, replies=[4]), message(2, TOTALS, replies=[9])], 3
    )
    assert len(done.acks) == 2
    assert answers(done.acks) == {
        4: [written(0, NEWEST, {"new": 1}), written(1, TOTALS, {"new": 1})],
        9: [written(2, TOTALS, {"new": 1})],
    }


def of_several(*records: tuple[int, int, bool], ahead: int = 0) -> UpdateMessage:
    """Returns one update of (source offset, rows, whether someone waits), all of one user, each row of its own time."""
    update = message(0).update
    rows = [
        changed_row(
            message(100 * offset + place), offset=offset, index=place, **({"event_time": ahead} if ahead else {})
        )
        for offset, count, _ in records
        for place in range(count)
    ]
    update.rows = [each.update.rows[0] for each in rows]
    update.waiting = [
        Waiting(ReplyAddress(4, b"request", offset, INSTALLATION), count) for offset, count, waits in records if waits
    ]
    return UpdateMessage(0, update)


def test_each_who_waits_is_told_what_became_of_his_own_rows(stores: Stores) -> None:
    step = stores.step()
    first = of_several((1, 2, True), (2, 1, True))
    assert answers(step.run([first], 1).acks) == {
        4: [written(1, NEWEST, {"new": 2}, 2), written(2, NEWEST, {"new": 1})]
    }
    again = of_several((1, 2, True), (2, 1, True), (3, 1, True))._replace(offset=1)
    again.update.rows[1].values[[column.name for column in NEWEST.columns].index("amount")] = 7.0
    for row in again.update.rows:
        row.append_time += 1
    assert answers(step.run([again], 2).acks) == {
        4: [
            written(1, NEWEST, {"equal": 1, "replaced": 1}, 2),
            written(2, NEWEST, {"equal": 1}),
            written(3, NEWEST, {"new": 1}),
        ]
    }


def test_rows_that_nobody_waits_for_among_others_leave_it_untold_what_became_of_them(stores: Stores) -> None:
    mixed = of_several((1, 1, True), (2, 1, False))
    assert answers(stores.step().run([mixed], 1).acks) == {4: [written(1, NEWEST, {})]}


def test_what_is_of_the_future_is_told_besides(stores: Stores) -> None:
    future = of_several((1, 1, True), ahead=AT + 2_000_000)
    done = stores.step().run([future], 1)
    assert done.rows == {("newest@V1", "new"): 1, ("newest@V1", "future"): 1}
    assert answers(done.acks) == {4: [written(1, NEWEST, {"new": 1, "future": 1})]}


def test_rows_that_are_in_state_already_are_answered_without_what_became_of_them(stores: Stores) -> None:
    step = stores.step()
    step.run([of_several((1, 1, True))], 1)
    assert answers(step.run([of_several((1, 1, True))], 1).acks) == {4: [written(1, NEWEST, {})]}


def test_rows_are_counted_by_view_and_outcome(stores: Stores) -> None:
    step = stores.step()
    done = step.run([message(0), message(1), message(2, TOTALS)], 3)
    assert done.rows == {("newest@V1", "new"): 2, ("totals@V1", "new"): 1}
    again = message(0)._replace(offset=3)
    assert step.run([again], 4).rows == {("newest@V1", "unknown"): 1}


def changed_row(original: UpdateMessage, **changes: Any) -> UpdateMessage:
    (row,) = original.update.rows
    for name, value in changes.items():
        setattr(row, name, value)
    return original


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda: changed_row(message(1), values=["u"]), id="too few values"),
        pytest.param(lambda: changed_row(message(1), values=["u", AT, "not a number", 1]), id="values of another type"),
        pytest.param(lambda: changed_row(message(1, TOTALS), append_time=-1), id="before all time"),
        pytest.param(lambda: changed_row(message(1, TOTALS), event_time=2**70), id="after all time"),
        pytest.param(lambda: changed_row(message(1, TOTALS), offset=-5), id="a negative offset"),
        pytest.param(lambda: UpdateMessage(1, replace(message(1).update, view=99)), id="a view that never was"),
    ],
)
def test_a_message_that_is_no_row_of_its_view_is_in_neither_store_and_stops_no_other(
    stores: Stores, wrong: Callable[[], UpdateMessage]
) -> None:
    done = stores.step().run([message(0, replies=[4]), wrong(), message(2, TOTALS, replies=[4])], 3)
    assert [refused.offset for refused, _ in done.refused] == [1]
    assert stores.logged() == [0, 2]
    assert done.rows == {("newest@V1", "new"): 1, ("totals@V1", "new"): 1}
    assert len(answers(done.acks)[4]) == 2
    assert next_offset_of(stores.state) == 3


def test_damage_in_state_is_never_charged_to_a_row(stores: Stores) -> None:
    step = stores.step()
    step.run([message(0, TOTALS)], 1)
    before = dict(stores.state.entries)
    for key, value in before.items():
        if key.startswith(b"T"):
            stores.state.entries[key] = value[:-3]
    with pytest.raises(StorageError, match=r"cannot be read .* rebuilt from the log"):
        step.run([message(1, TOTALS, replies=[4])], 2)
    assert stores.logged() == [0]
    stores.state.entries.update(before)
    assert step.run([message(1, TOTALS)], 2).rows == {("totals@V1", "new"): 1}


def test_an_error_that_no_message_explains_is_raised(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    step = stores.step()
    monkeypatch.setattr(stores.state, "write", lambda _operations: int("no number"))
    with pytest.raises(ValueError, match="no number"):
        step.run([message(0)], 1)


def test_rows_of_a_view_that_left_the_plan_are_logged_and_acknowledged(stores: Stores) -> None:
    smaller = plan()
    del smaller.views["newest@V1"]
    done = stores.step(smaller).run([message(0, replies=[1])], 1)
    assert stores.logged() == [0]
    assert list(stores.state.entries) == [NEXT_OFFSET, digest_key(TOTALS.id)]
    assert answers(done.acks) == {1: [Written(b"request", 0, NEWEST.id, 3, 1)]}
    assert done.rows == {}


def test_a_newer_plan_is_used_from_the_next_batch_on(stores: Stores) -> None:
    smaller = plan()
    del smaller.views["newest@V1"]
    step = stores.step(smaller)
    step.run([message(0)], 1)
    step.use(PLAN)
    assert step.run([message(1)], 2).rows == {("newest@V1", "new"): 1}


def test_a_log_that_cannot_be_written_is_told_and_leaves_both_stores_as_they_were(stores: Stores) -> None:
    step = stores.step()
    taken_up = dict(stores.state.entries)
    stores.disk.full = True
    with pytest.raises(StoreFailedError, match="No space left") as failure:
        step.run([message(0, replies=[2])], 1)
    ((ack,),) = answers(failure.value.acks).values()
    assert (ack.store, ack.message) == ("offline", failure.value.message)
    assert stores.state.entries == taken_up
    assert step.start_offset(0) is None
    stores.disk.full = False
    ((ack,),) = answers(step.run([message(0, replies=[2])], 1).acks).values()
    assert ack.store == ""


@pytest.mark.parametrize("kind", ["read", "write"])
def test_a_state_that_fails_is_told_and_the_batch_is_taken_again_without_doubling_the_log(
    stores: Stores, kind: str
) -> None:
    step = stores.step()
    step.run([message(0)], 1)
    stores.state.fails = kind
    with pytest.raises(StoreFailedError, match="database state") as failure:
        step.run([message(1, replies=[2])], 2)
    ((ack,),) = answers(failure.value.acks).values()
    assert (ack.store, ack.message) == ("online", failure.value.message)
    stores.state.fails = ""
    assert stores.step().start_offset(0) == 1
    done = stores.step().run([message(1, replies=[2])], 2)
    assert done.rows == {("newest@V1", "new"): 1}
    assert stores.logged() == [0, 1]


@pytest.mark.parametrize(("earliest", "start"), [(0, 0), (1, 1), (2, 2), (5, 2)])
def test_a_log_that_was_taken_away_begins_anew_at_what_kafka_holds_and_never_behind_state(
    stores: Stores, earliest: int, start: int
) -> None:
    stores.step().run([message(0), message(1)], 2)
    stores.disk.files.clear()
    assert stores.step().start_offset(earliest) == start


def test_state_that_is_ahead_of_the_log_never_goes_back(stores: Stores) -> None:
    stores.step().run([message(0), message(1)], 2)
    before = dict(stores.state.entries)
    stores.disk.files.clear()
    step = stores.step()
    assert step.start_offset(0) == 0
    assert step.run([message(0)], 1).rows == {}
    assert dict(stores.state.entries) == before
    assert stores.logged() == [0]


class Crash(NamedTuple):
    """A process that dies: on which batch it makes, after which step, and how much of the log an OS crash tears off."""

    batch: int
    after: str
    torn: int


CRASHES = st.lists(
    st.builds(Crash, st.integers(1, 4), st.sampled_from(["nothing", "log", "state"]), st.integers(0, 400)), max_size=4
)


def messages_of(history: History) -> list[UpdateMessage]:
    """Returns the partition: each update by its offset, with gaps as control records leave them."""
    return [UpdateMessage(3 * number, update) for number, update in enumerate(updates_of(history, history.arrivals))]


class Process:
    """Reads a partition in random batches, until its end or its death."""

    def __init__(self, history: History, stores: Stores, data: st.DataObject) -> None:
        self._history = history
        self._stores = stores
        self._data = data
        self._plan = Plan(WORKSPACE, 1, {}, {view.key: view for view in history.views}, {}, {}, "", number=1)

    def run(self, messages: Sequence[UpdateMessage], crash: Crash | None) -> None:
        log = OfflineLog(self._stores.disk, WORKSPACE, 3, roll_bytes=2_000)
        log.open()
        views = {view.id: view for view in self._history.views}
        step = MaterializeStep(WORKSPACE, 3, log, self._stores.state, views, INSTALLATION)
        step.use(self._plan)
        rest = [each for each in messages if each.offset >= (step.start_offset(0) or 0)]
        made = 0
        while rest:
            size = self._data.draw(st.integers(1, 4))
            batch, rest = rest[:size], rest[size:]
            next_offset = batch[-1].offset + 1
            made += 1
            if crash is None or made < crash.batch:
                step.run(batch, next_offset)
                continue
            if crash.after != "nothing":
                log.append(views, batch, next_offset)
            if crash.after == "state":
                step.write(batch, next_offset)
            self._tear(crash.torn)
            return

    def _tear(self, torn: int) -> None:
        """Cuts the end of the newest segment."""
        files = self._stores.disk.files
        if files:
            newest = files[max(files)]
            del newest[max(0, len(newest) - torn) :]


@given(histories(), CRASHES, st.data())
@examples(60)
def test_log_and_state_are_the_same_whatever_crashes(
    history: History, crashes: list[Crash], data: st.DataObject
) -> None:
    messages = messages_of(history)
    calm, shaken = Stores(MemoryDisk(), FailingState()), Stores(MemoryDisk(), FailingState())
    Process(history, calm, data).run(messages, None)
    process = Process(history, shaken, data)
    for crash in [*crashes, None]:
        process.run(messages, crash)
    assert dict(shaken.state.entries) == dict(calm.state.entries)
    assert next_offset_of(shaken.state) == (messages[-1].offset + 1 if messages else None)
    logged = list(read_updates(shaken.disk, WORKSPACE, 3))
    assert canonical(logged) == canonical(messages)


def test_an_update_without_rows_still_moves_both_stores(stores: Stores) -> None:
    empty = Update(1, 5, NEWEST.id, 0, [], [])
    stores.step().run([UpdateMessage(0, empty)], 1)
    assert stores.step().start_offset(0) == 1
