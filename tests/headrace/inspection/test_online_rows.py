from pathlib import Path

import msgspec

from headrace.inspection.online_rows import PartitionRows, counted, document, online_rows
from infra.database.layout import DatabaseResources
from infra.database.primary import PrimaryDatabase
from infra.paths import state_path, version_path
from schemas.definitions.plan import view_digest
from schemas.state.keys import digest_key, encode_identity, encode_join_keys, row_prefix, time_suffix, watermark_key
from schemas.state.values import encode
from tests.support.memory_state import MemoryState
from tests.support.repositories import WITH_IDENTITY, plan_of, view

PLAN = plan_of(view() + view("others"))
VIEW, OTHER = PLAN.views["totals@V1"], PLAN.views["others@V1"]


def state_of(rows: dict[str, int], digest: bytes = view_digest(VIEW)) -> MemoryState:
    """State with so many rows of each user, of both views."""
    entries = {digest_key(VIEW.id): digest, watermark_key(VIEW.id): encode(77)}
    for user, count in rows.items():
        for each in (VIEW, OTHER):
            prefix = row_prefix(each.id, encode_join_keys([user]))
            entries |= {prefix + time_suffix(at): b"" for at in range(count)}
    return MemoryState(entries)


def always() -> bool:
    return True


def test_rows_and_keys_of_one_view_are_counted() -> None:
    assert counted(state_of({"ann": 3, "bob": 1}), 2, VIEW, 100, always) == PartitionRows(2, 4, 2, True, 77)


def test_exactly_as_many_rows_as_are_looked_at_are_all() -> None:
    assert counted(state_of({"ann": 3}), 0, VIEW, 3, always) == PartitionRows(0, 3, 1, True, 77)


def test_what_is_not_looked_at_is_told() -> None:
    assert counted(state_of({"ann": 3, "bob": 1}), 0, VIEW, 2, always) == PartitionRows(0, 2, 1, False, 77)
    assert counted(state_of({"ann": 3}), 0, VIEW, 100, lambda: False) == PartitionRows(0, 0, 0, False, 77)


def test_rows_of_a_view_that_had_the_id_before_do_not_count() -> None:
    other = view_digest(msgspec.structs.replace(VIEW, version="V0"))
    assert counted(state_of({"ann": 3}, other), 0, VIEW, 100, always) == PartitionRows(0)
    assert counted(MemoryState(), 0, VIEW, 100, always) == PartitionRows(0)


def test_state_of_another_host_is_not_known_and_nothing_is_made(tmp_path: Path) -> None:
    found = online_rows(tmp_path, PLAN, VIEW)
    assert [each.partition for each in found] == [0, 1, 2, 3]
    assert {each.problem for each in found} == {"its state is not in this data folder"}
    assert list(tmp_path.iterdir()) == []


def test_what_a_writer_that_runs_has_written_is_counted_beside_it(tmp_path: Path) -> None:
    writes = list(state_of({"ann": 3, "bob": 1}).entries.items())
    path, version = state_path(tmp_path, "prod", 1), version_path(tmp_path, "prod", 1)
    writer = PrimaryDatabase.open(path, version_file=version, resources=DatabaseResources.of_sizes(), lock_seconds=5)
    try:
        writer.promote()
        writer.write(writes)
        found = online_rows(tmp_path, PLAN, VIEW)
    finally:
        writer.close()
    assert found[1] == PartitionRows(1, 4, 2, True, 77)
    assert [bool(each.problem) for each in found] == [True, False, True, True]


def test_sums_are_of_the_partitions_that_are_known() -> None:
    found = document([PartitionRows(0, 4, 2, True, 1_000_000), PartitionRows(1, 3, 1, True, 5_000_000)])
    assert (found["rows"], found["keys"], found["is_all"]) == (7, 3, True)
    assert found["watermark"] == "1970-01-01T00:00:05Z"
    part = document([PartitionRows(0, 4, 2, True, None), PartitionRows(1, problem="elsewhere")])
    assert (part["rows"], part["is_all"], part["watermark"]) == (4, False, None)
    assert part["partitions"][1] == {"partition": 1, "rows": 0, "keys": 0, "is_all": True, "problem": "elsewhere"}


def test_events_of_one_instant_are_rows_of_one_key() -> None:
    text = WITH_IDENTITY.format('["order"]') + view()
    identified = msgspec.structs.replace(plan_of({"views.py": text}).views["totals@V1"], id=VIEW.id)
    entries = {digest_key(VIEW.id): view_digest(identified), watermark_key(VIEW.id): encode(77)}
    for user, order in (("ann", "a"), ("ann", "bcd"), ("bob", "a")):
        entries[row_prefix(VIEW.id, encode_join_keys([user])) + time_suffix(5) + encode_identity([order])] = b""
    assert counted(MemoryState(entries), 0, identified, 100, always) == PartitionRows(0, 3, 2, True, 77)
