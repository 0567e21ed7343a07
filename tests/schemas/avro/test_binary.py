from io import BytesIO

import fastavro
import pytest
from hypothesis import example, given

from schemas.avro.binary import MAX_LONG_BYTES, decode_long, encode_long, encode_longs
from tests.support.column_types import INT64

EDGES = [number for bits in (6, 7, 13, 14, 20, 21, 27, 28, 34, 63) for number in (2**bits - 1, -(2**bits))]


def by_fastavro(number: int) -> bytes:
    buffer = BytesIO()
    fastavro.schemaless_writer(buffer, "long", number)
    return buffer.getvalue()


@given(INT64)
def test_a_long_is_what_avro_says(number: int) -> None:
    assert encode_long(number) == by_fastavro(number)


@pytest.mark.parametrize("number", EDGES)
def test_a_long_at_the_end_of_each_number_of_bytes_is_what_avro_says(number: int) -> None:
    assert encode_longs([number, number - (number > 0)]) == [by_fastavro(number), by_fastavro(number - (number > 0))]


@given(INT64)
@example(-1)
@example(2**63 - 1)
def test_a_long_is_read_where_it_lies(number: int) -> None:
    data = by_fastavro(number)
    assert decode_long(b"\xff" + data + b"\x7f", 1) == (number, 1 + len(data))


@given(INT64)
def test_a_long_that_is_cut_off_is_none(number: int) -> None:
    data = by_fastavro(number)
    for length in range(len(data)):
        with pytest.raises(IndexError):
            decode_long(data[:length], 0)


def test_a_long_never_goes_on_past_its_longest_form() -> None:
    with pytest.raises(IndexError):
        decode_long(b"\x80" * MAX_LONG_BYTES + b"\x01", 0)
