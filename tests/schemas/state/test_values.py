from hypothesis import given
from hypothesis import strategies as st

from schemas.state.keys import NEXT_OFFSET
from schemas.state.values import (
    VERSION_BYTES,
    decode_number,
    decode_row,
    decode_rows,
    encode,
    next_offset_of,
    version_bytes,
)
from tests.support.histories import examples
from tests.support.memory_state import MemoryState

U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)


@given(st.tuples(U64, U32, U64, U32), st.tuples(U64, U32, U64, U32))
@examples(100)
def test_versions_sort_as_their_parts(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> None:
    assert (version_bytes(*one) < version_bytes(*other)) == (one < other)
    assert len(version_bytes(*one)) == VERSION_BYTES


def test_a_row_is_its_version_and_then_its_columns() -> None:
    value = version_bytes(1, 2, 3, 4) + encode(["a", 1.5, None])
    assert value[:VERSION_BYTES].hex() == "000000000000000100000002000000000000000300000004"
    assert decode_row(value) == ["a", 1.5, None]
    assert decode_rows([(b"k", value), (b"l", version_bytes(9, 9, 9, 9) + encode([]))]) == [["a", 1.5, None], []]


def test_state_knows_its_offset_once_it_holds_something() -> None:
    assert next_offset_of(MemoryState()) is None
    assert next_offset_of(MemoryState({NEXT_OFFSET: encode(2**40)})) == 2**40
    assert decode_number(encode(-5)) == -5
