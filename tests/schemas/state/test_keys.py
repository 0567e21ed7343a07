import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.limits import MAX_IDENTITY_BYTES, MAX_JOIN_KEY_BYTES
from schemas.state.keys import (
    DIGESTS,
    RETIRED,
    WATERMARKS,
    WITHOUT_TIME,
    JoinKey,
    LongKeyError,
    digest_key,
    encode_identity,
    encode_join_keys,
    meta_key,
    murmur2,
    numbered_by,
    partition_of,
    resolution_of,
    retired_key,
    row_prefix,
    tile_prefix,
    tile_suffix,
    time_of,
    time_suffix,
    view_of,
    view_ranges,
    watermark_key,
    without_identity,
)
from tests.support.histories import examples

PARTS = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.text(st.sampled_from("\x00\x01\xffab\U0001f600")),
    st.text(),
)
INSTANTS = st.integers(-(2**63), 2**63 - 1)


def rank(part: JoinKey) -> tuple[int, int, bytes]:
    if part is None:
        return (0, 0, b"")
    return (1, part, b"") if isinstance(part, int) else (2, 0, part.encode())


@given(st.integers(1, 3).flatmap(lambda count: st.lists(st.lists(PARTS, min_size=count, max_size=count), min_size=2)))
@examples(200)
def test_encoded_keys_are_prefix_free_and_sort_as_their_values(lists: list[list[JoinKey]]) -> None:
    for one in lists:
        for other in lists:
            a, b = encode_join_keys(one), encode_join_keys(other)
            assert b.startswith(a) == (one == other)
            assert (a < b) == ([rank(part) for part in one] < [rank(part) for part in other])


@given(INSTANTS, INSTANTS)
@examples(100)
def test_times_sort_as_numbers_and_come_back(one: int, other: int) -> None:
    prefix = row_prefix(7, encode_join_keys(["k"]))
    assert (prefix + time_suffix(one) < prefix + time_suffix(other)) == (one < other)
    assert time_of(prefix + time_suffix(one)) == one
    assert time_of(tile_prefix(7, b"") + tile_suffix(60_000_000, one)) == one
    assert (tile_suffix(5, one) < tile_suffix(5, other)) == (one < other)
    assert tile_suffix(5, one) < tile_suffix(6, other)


def test_bytes_are_as_documented() -> None:
    key = encode_join_keys([None, -1, "a\x00b"])
    assert key == b"\x00" + b"\x01\x7f" + b"\xff" * 7 + b"\x02a\x00\xffb\x00\x00"
    assert row_prefix(258, key) == b"R" + bytes(6) + b"\x01\x02" + key
    assert tile_prefix(258, key) == b"T" + bytes(6) + b"\x01\x02" + key
    assert time_suffix(0) == b"\x80" + bytes(7)
    assert tile_suffix(1, -1) == bytes(7) + b"\x01\x7f" + b"\xff" * 7
    assert meta_key("next_offset") == b"Mnext_offset"
    assert digest_key(258) == DIGESTS + b"258" == b"Mview/258"
    assert watermark_key(258) == WATERMARKS + b"258" == b"Mwatermark/258"


@pytest.mark.parametrize("view", [0, 255, 2**32 - 1])
def test_the_ranges_of_a_view_hold_all_its_rows_and_tiles_and_nothing_of_its_neighbours(view: int) -> None:
    (rows, behind_rows), (tiles, behind_tiles) = view_ranges(view)
    longest = encode_join_keys(["\U0010ffff" * 200])
    for instant in (-(2**63), 2**63 - 1):
        for key in (b"", longest):
            assert rows <= row_prefix(view, key) + time_suffix(instant) < behind_rows
            assert tiles <= tile_prefix(view, key) + tile_suffix(2**63 - 1, instant) < behind_tiles
    assert not rows <= row_prefix(view + 1, b"") < behind_rows
    assert not tiles <= tile_prefix(view + 1, b"") < behind_tiles


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_kafkas(text: bytes, expected: int) -> None:
    """The vectors of Kafka's own test, ``UtilsTest.testMurmur2``."""
    assert murmur2(text) == expected % 2**32


@given(st.binary(), st.integers(1, 1000))
@examples(50)
def test_partition_is_that_of_kafkas_default_partitioner(key: bytes, partitions: int) -> None:
    signed = murmur2(key) - (2**32 if murmur2(key) >= 2**31 else 0)
    assert partition_of(key, partitions) == (signed & 0x7FFFFFFF) % partitions


def test_join_keys_have_a_limit_in_bytes_and_what_is_longer_is_told_with_its_longest_value() -> None:
    assert len(encode_join_keys(["x" * (MAX_JOIN_KEY_BYTES - 12), 1])) == MAX_JOIN_KEY_BYTES
    with pytest.raises(LongKeyError) as failure:
        encode_join_keys([1, "x" * (MAX_JOIN_KEY_BYTES - 11), "short"])
    assert (failure.value.position, failure.value.size) == (1, MAX_JOIN_KEY_BYTES + 9)
    with pytest.raises(LongKeyError):
        encode_join_keys(["\x00" * 600])  # each takes two bytes


def test_long_keys_are_not_remembered_so_that_the_cache_has_a_bound_in_bytes() -> None:
    tracemalloc.start()
    try:
        for number in range(1000):
            partition_of(number.to_bytes(MAX_JOIN_KEY_BYTES, "big"), 4)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 100_000


@given(st.integers(0, 2**63), PARTS, INSTANTS, st.integers(1, 2**63))
@examples(50)
def test_the_parts_of_a_key_come_back(view: int, part: JoinKey, time: int, resolution: int) -> None:
    key = encode_join_keys([part])
    row = row_prefix(view, key) + time_suffix(time)
    tile = tile_prefix(view, key) + tile_suffix(resolution, time)
    assert (view_of(row), time_of(row), row[WITHOUT_TIME]) == (view, time, row_prefix(view, key))
    assert (view_of(tile), time_of(tile), resolution_of(tile)) == (view, time, resolution)


@pytest.mark.parametrize(
    ("space", "key"), [(DIGESTS, digest_key(17)), (WATERMARKS, watermark_key(17)), (RETIRED, retired_key(17))]
)
def test_facts_of_a_view_are_numbered_by_it(space: bytes, key: bytes) -> None:
    assert key.startswith(space)
    assert numbered_by(space, key) == 17


WHICH = st.tuples(PARTS.filter(lambda part: len(encode_join_keys([part])) < 60), st.booleans())


@given(INSTANTS, INSTANTS, WHICH, WHICH)
@examples(200)
def test_events_sort_by_time_then_identity_and_their_time_comes_back(
    one: int, other: int, which: tuple[JoinKey, bool], another: tuple[JoinKey, bool]
) -> None:
    prefix = row_prefix(7, encode_join_keys(["k"]))
    a, b = (prefix + time_suffix(t) + encode_identity(w) for t, w in ((one, which), (other, another)))
    ranks = [(t, rank(w[0]), w[1]) for t, w in ((one, which), (other, another))]
    assert (a < b) == (ranks[0] < ranks[1])
    assert b.startswith(a) == (ranks[0] == ranks[1])
    assert without_identity(a) == prefix + time_suffix(one)


def test_an_identity_is_its_columns_and_their_length() -> None:
    assert encode_identity(["ab", True]) == b"\x02ab\x00\x00" + b"\x01\x80" + bytes(6) + b"\x01" + b"\x0e"


def test_an_identity_has_a_limit_in_bytes_and_what_is_longer_is_told_with_its_longest_value() -> None:
    longest = "x" * (MAX_IDENTITY_BYTES - 3 - 9)
    assert len(encode_identity([1, longest])) == MAX_IDENTITY_BYTES + 1
    with pytest.raises(LongKeyError) as caught:
        encode_identity([1, longest + "x"])
    assert (caught.value.position, caught.value.size) == (1, MAX_IDENTITY_BYTES + 1)
