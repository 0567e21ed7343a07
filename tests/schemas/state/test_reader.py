import pytest

from schemas.state import keys
from schemas.state.reader import RESERVED_PREFIX, Reader
from tests.support.memory_state import MemoryState

ENTRIES = {b"a": b"1", b"a\x00": b"2", b"ab": b"3", b"b": b"4", b"\xff": b"5"}


@pytest.fixture
def reader() -> Reader:
    return MemoryState(ENTRIES)


@pytest.mark.parametrize(
    "key",
    [
        keys.row_prefix(0, b""),
        keys.tile_prefix(2**32 - 1, b""),
        keys.meta_key(""),
        keys.NEXT_OFFSET,
        keys.digest_key(1),
        keys.watermark_key(1),
    ],
)
def test_what_belongs_to_the_database_itself_is_nobody_elses(key: bytes) -> None:
    assert not key.startswith(RESERVED_PREFIX)


def test_values_come_in_the_order_of_the_keys_asked_for(reader: Reader) -> None:
    assert reader.get(b"b") == b"4"
    assert reader.get(b"c") is None
    assert reader.get_many([b"b", b"c", b"a", b"b"]) == [b"4", None, b"1", b"4"]


def test_a_scan_begins_with_its_start_and_ends_before_its_end(reader: Reader) -> None:
    assert list(reader.scan(b"a\x00", b"b")) == [(b"a\x00", b"2"), (b"ab", b"3")]
    assert [key for key, _ in reader.scan(b"", b"\xff\xff")] == sorted(ENTRIES)
    assert list(reader.scan(b"b", b"a")) == []


def test_the_last_before_lies_in_the_range_or_there_is_none(reader: Reader) -> None:
    assert reader.last_before(b"a", b"b") == (b"ab", b"3")
    assert reader.last_before(b"a", b"b\x00") == (b"b", b"4")
    assert reader.last_before(b"b", b"b\x00") == (b"b", b"4")
    assert reader.last_before(b"b\x00", b"\xff") is None


def test_a_scan_is_of_one_moment_whatever_is_written_meanwhile() -> None:
    state = MemoryState(ENTRIES)
    scanned = state.scan(b"a", b"c")
    first = next(scanned)
    state.write({b"aa": b"new", b"b": b"changed", b"ab": None})
    assert [first, *scanned] == [(b"a", b"1"), (b"a\x00", b"2"), (b"ab", b"3"), (b"b", b"4")]
