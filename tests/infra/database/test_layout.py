import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.database.layout import (
    EPOCH_KEY,
    EPOCH_RANDOM_BITS,
    FORMAT_KEY,
    GENERATION_SLOTS,
    VERSION_KEY,
    DatabaseResources,
    Generation,
    decode_number,
    decode_version,
    encode_number,
    encode_version,
    generation_key,
    new_epoch,
)
from schemas.state.reader import RESERVED_PREFIX

U64 = st.integers(0, 2**64 - 1)


def test_keys_and_values_are_as_documented() -> None:
    assert (FORMAT_KEY, EPOCH_KEY, VERSION_KEY) == (b"Dformat", b"Depoch", b"Dversion")
    assert generation_key(65) == b"Dgeneration\x01"
    assert encode_number(258) == bytes(6) + b"\x01\x02"
    assert encode_version(258, 1) == bytes(6) + b"\x01\x02" + bytes(7) + b"\x01"
    assert Generation(1, 2, 3).encode() == bytes(7) + b"\x01" + bytes(7) + b"\x02" + bytes(7) + b"\x03"


def test_no_two_of_its_keys_are_the_same_and_all_are_its_own() -> None:
    keys = {FORMAT_KEY, EPOCH_KEY, VERSION_KEY, *(generation_key(number) for number in range(GENERATION_SLOTS))}
    assert len(keys) == GENERATION_SLOTS + 3
    assert all(key.startswith(RESERVED_PREFIX) for key in keys)
    assert generation_key(GENERATION_SLOTS + 7) == generation_key(7)


@given(U64, U64, U64)
def test_what_is_written_comes_back(one: int, two: int, three: int) -> None:
    assert decode_number(encode_number(one)) == one
    assert decode_version(encode_version(one, two)) == (one, two)
    assert Generation.decode(Generation(one, two, three).encode()) == Generation(one, two, three)


def test_an_empty_database_is_at_the_beginning() -> None:
    assert (decode_number(None), decode_version(None), Generation.decode(None)) == (0, (0, 0), None)


@pytest.mark.parametrize(
    ("before", "follows"),
    [
        (Generation(4, 2, 9), True),
        (Generation(4, 2, 8), False),  # its end is missing
        (Generation(3, 2, 9), False),  # one between them is
        (Generation(5, 2, 9), False),
        (Generation(4 - GENERATION_SLOTS, 2, 9), False),  # what its slot held before
        (None, False),
    ],
)
def test_a_hole_before_a_generation_is_found(before: Generation | None, *, follows: bool) -> None:
    assert Generation(5, 9, 12).follows(before) is follows


@given(st.integers(0, 2**62), st.integers(0, 2**42), st.integers(0, 2**EPOCH_RANDOM_BITS - 1))
def test_epoch_is_after_all_that_are_known(known: int, now: int, random: int) -> None:
    assert known < new_epoch(known, now, random) < 2**64


def test_clock_that_was_set_back_is_made_up_for_by_chance() -> None:
    assert new_epoch(0, 1_700_000_000_000, 1) != new_epoch(0, 1_700_000_000_000, 2)
    assert new_epoch(2**62, 1_700_000_000_000, 1) == 2**62 + 1


@given(st.integers(0, 2**42), st.integers(0, 2**EPOCH_RANDOM_BITS - 1), st.integers(0, 2**EPOCH_RANDOM_BITS - 1))
def test_time_keeps_epochs_apart_whatever_chance_says(now: int, one: int, other: int) -> None:
    assert new_epoch(0, now, one) < new_epoch(0, now + 1, other)


def test_resources_have_the_sizes_asked_for() -> None:
    made = DatabaseResources.of_sizes(block_cache_bytes=1 << 20, write_buffer_bytes=2 << 20, memtable_bytes=1 << 19)
    assert (made.write_buffer_bytes, made.memtable_bytes) == (2 << 20, 1 << 19)
