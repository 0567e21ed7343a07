from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.database.layout import DatabaseResources
from infra.database.primary import PrimaryDatabase
from infra.segments.disk import Disk, LocalDisk
from processors.logs.offline_log import OfflineLog, read_updates
from processors.materialize.rebuild import rebuild
from processors.materialize.step import MaterializeStep
from schemas.definitions.plan import Plan, ViewPlan
from schemas.errors import StorageError
from schemas.messages.updates import UpdateMessage
from schemas.state.keys import encode_join_keys, row_prefix
from schemas.state.reader import State
from tests.support.column_types import row_of, update_of
from tests.support.flow import AT, plan
from tests.support.histories import History, examples, histories, updates_of
from tests.support.memory_disk import MemoryDisk
from tests.support.memory_state import MemoryState, Write

NEWEST = plan().views["newest@V1"]


class RecordingState(MemoryState):
    """Remembers how much each write held."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[int] = []

    def write(
        self, operations: Mapping[bytes, bytes | None] | Sequence[Write], *, dropped: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        self.writes.append(len(operations))
        super().write(operations, dropped=dropped)


def step_of(disk: Disk, state: State, views: Sequence[ViewPlan]) -> MaterializeStep:
    log = OfflineLog(disk, "prod", 0, roll_bytes=2_000)
    log.open()
    step = MaterializeStep("prod", 0, log, state, {view.id: view for view in views}, "here")
    step.use(Plan("prod", 1, {}, {view.key: view for view in views}, {}, {}, "", number=1))
    return step


def message(offset: int) -> UpdateMessage:
    row = row_of("u", AT + offset, AT // 1000, offset)
    values = {"user": "u", "amount": float(offset), "at": AT + offset}
    row.values = [values[column.name] for column in NEWEST.columns]
    return UpdateMessage(offset, update_of(NEWEST, [row]))


@given(histories(), st.integers(1, 10), st.integers(1, 4))
@examples(40)
def test_rebuilt_state_is_the_state_that_was_lost(history: History, batch_rows: int, size: int) -> None:
    messages = [UpdateMessage(offset, update) for offset, update in enumerate(updates_of(history, history.arrivals))]
    disk, lost, rebuilt = MemoryDisk(), MemoryState(), MemoryState()
    step = step_of(disk, lost, history.views)
    for start in range(0, len(messages), size):
        batch = messages[start : start + size]
        step.run(batch, batch[-1].offset + 1)
    step = step_of(disk, rebuilt, history.views)
    assert rebuild(step, disk, "prod", 0, batch_rows=batch_rows) == len(messages)
    assert dict(rebuilt.entries) == dict(lost.entries)
    assert step.start_offset(0) == (len(messages) or None)


def test_no_write_of_a_rebuild_is_larger_than_a_batch() -> None:
    disk, rebuilt = MemoryDisk(), RecordingState()
    step_of(disk, MemoryState(), [NEWEST]).run([message(offset) for offset in range(10)], 10)
    step = step_of(disk, rebuilt, [NEWEST])
    rebuilt.writes.clear()
    rebuild(step, disk, "prod", 0, batch_rows=3)
    bookkeeping = 2  # next offset and watermark
    assert len(rebuilt.writes) == 4
    assert max(rebuilt.writes) <= 3 + bookkeeping


def test_a_rebuild_gives_a_sign_of_life_after_each_batch() -> None:
    disk, rebuilt, beats = MemoryDisk(), MemoryState(), []
    step_of(disk, MemoryState(), [NEWEST]).run([message(offset) for offset in range(10)], 10)
    rebuild(step_of(disk, rebuilt, [NEWEST]), disk, "prod", 0, batch_rows=3, beat=lambda: beats.append(1))
    assert len(beats) == 4


def test_a_rebuild_that_was_cut_short_goes_on_where_it_was() -> None:
    disk, whole, rebuilt = MemoryDisk(), MemoryState(), MemoryState()
    step_of(disk, whole, [NEWEST]).run([message(offset) for offset in range(6)], 6)
    step = step_of(disk, rebuilt, [NEWEST])
    step.write([message(0), message(1)], 2)
    rebuild(step, disk, "prod", 0, batch_rows=4)
    assert dict(rebuilt.entries) == dict(whole.entries)


@pytest.mark.parametrize("torn_bytes", [0, 7])
def test_a_hole_in_the_log_ends_a_rebuild_and_is_filled_from_kafka(torn_bytes: int) -> None:
    disk, whole, rebuilt = MemoryDisk(), MemoryState(), MemoryState()
    step = step_of(disk, whole, [NEWEST])
    ends = [0]
    while len(disk.files) < 2:
        step.run([message(len(ends) - 1)], len(ends))
        ends.append(disk.size(min(disk.files)))
    lost = len(ends) - 3  # the last message of the first segment
    disk.files[min(disk.files)][ends[lost] + torn_bytes :] = b""
    step = step_of(disk, rebuilt, [NEWEST])
    assert rebuild(step, disk, "prod", 0) == lost
    assert step.start_offset(0) == lost
    for offset in range(lost, len(ends) - 1):
        step.run([message(offset)], offset + 1)
    assert dict(rebuilt.entries) == dict(whole.entries)
    assert [each.offset for each in read_updates(disk, "prod", 0)] == list(range(len(ends) - 1))


def test_a_missing_database_is_rebuilt_and_processing_goes_on(tmp_path: Path) -> None:
    disk = LocalDisk(tmp_path)
    whole = MemoryState()
    step_of(disk, whole, [NEWEST]).run([message(offset) for offset in range(5)], 5)
    version_file = tmp_path / "version"
    resources = DatabaseResources.of_sizes()
    with PrimaryDatabase.open(
        tmp_path / "db", version_file=version_file, resources=resources, lock_seconds=1.0
    ) as database:
        assert database.rebuilding
        step = step_of(disk, database, [NEWEST])
        rebuild(step, disk, "prod", 0)
        database.promote()
        assert step.start_offset(0) == 5
        more = step_of(disk, whole, [NEWEST])
        more.run([message(5)], 6)
        step.write([message(5)], 6)
        start = row_prefix(NEWEST.id, encode_join_keys(["u"]))
        assert list(database.scan(start, start + b"\xff")) == list(whole.scan(start, start + b"\xff"))
        assert len(list(database.scan(start, start + b"\xff"))) == 6
    disk.close()


def test_an_empty_log_leaves_state_at_the_beginning() -> None:
    disk = MemoryDisk()
    step = step_of(disk, MemoryState(), [NEWEST])
    assert rebuild(step, disk, "prod", 0) == 0
    assert step.start_offset(0) is None


def test_a_log_that_does_not_begin_at_the_beginning_is_no_base_for_a_rebuild() -> None:
    disk, rebuilt = MemoryDisk(), MemoryState()
    step_of(disk, MemoryState(), [NEWEST]).run([message(3)], 4)
    step = step_of(disk, rebuilt, [NEWEST])
    taken_up = dict(rebuilt.entries)
    with pytest.raises(StorageError, match=r"log/prod/partition=0: .* which begins at offset 3: restore the state"):
        rebuild(step, disk, "prod", 0)
    assert rebuilt.entries == taken_up
