import json
from binascii import crc32
from io import BytesIO
from types import SimpleNamespace

import cramjam
import fastavro
import pytest

from infra.segments.format import (
    Block,
    DamageError,
    Header,
    Take,
    UnknownFormatError,
    check_schema,
    decode_offsets,
    encode_block,
    encode_header,
    read_block,
    read_header,
    sync_marker,
)
from schemas.avro.binary import encode_long

FIELDS = [{"name": name, "type": "long"} for name in ("offset", "next_offset", "value")]
SCHEMA = json.dumps({"type": "record", "name": "row", "fields": FIELDS})
FIRST, AFTER = 7, 5
HEADER = encode_header(SCHEMA, FIRST, AFTER)
PAYLOAD = b"".join(map(encode_long, (7, 9, -1, 8, 9, 2**62)))  # two objects
BLOCK = encode_block(PAYLOAD, 2, sync_marker(FIRST))


def take_from(data: bytes) -> Take:
    return lambda position, size: data[position : position + size]


def header() -> Header:
    return read_header(take_from(HEADER), FIRST)


def test_a_header_says_what_was_put_into_it_and_where_the_first_block_begins() -> None:
    assert header() == Header(SCHEMA, sync_marker(FIRST), len(HEADER), AFTER)


def test_a_header_of_any_size_is_read_whole() -> None:
    schema = json.dumps({"type": "record", "name": "row", "doc": "x" * 70_000, "fields": FIELDS})
    data = encode_header(schema, FIRST, AFTER)
    assert read_header(take_from(data + BLOCK), FIRST).schema == schema


def test_a_header_is_whole_or_cut_off() -> None:
    for size in range(len(HEADER)):
        with pytest.raises(DamageError, match="at byte 0: the header is cut off"):
            read_header(take_from(HEADER[:size]), FIRST)


def test_a_header_of_a_negative_length_is_damaged() -> None:
    for entries in (encode_long(-1), encode_long(1) + encode_long(-1)):
        with pytest.raises(DamageError, match="cut off"):
            read_header(take_from(b"Obj\x01" + entries + bytes(64)), FIRST)


def test_a_header_whose_lengths_lead_back_comes_to_an_end() -> None:
    """Each number is at a byte of its own: after 1 entry with a key of -2 bytes come the same bytes again."""
    with pytest.raises(DamageError, match="cut off"):
        read_header(take_from(b"Obj\x01" + b"".join(map(encode_long, (1, -2, 1, -4))) + bytes(64)), FIRST)


def test_another_kind_of_file_is_named() -> None:
    with pytest.raises(DamageError, match="does not begin as an Avro container file"):
        read_header(take_from(b"PAR1" + HEADER[4:]), FIRST)


@pytest.mark.parametrize("part", [b'"name": "row"', b"snappy", b"headrace.crc32", b"headrace.after\x025"])
def test_an_altered_header_is_damaged(part: bytes) -> None:
    at = HEADER.index(part) + len(part) - 1
    altered = HEADER[:at] + bytes([HEADER[at] ^ 1]) + HEADER[at + 1 :]
    with pytest.raises(DamageError, match="the header is altered"):
        read_header(take_from(altered), FIRST)


def test_a_header_under_another_name_tells_where_its_blocks_would_go_on() -> None:
    with pytest.raises(DamageError, match="not the one of the file's name") as caught:
        read_header(take_from(HEADER), FIRST + 1)
    assert caught.value.behind == (len(HEADER), sync_marker(FIRST))


def test_a_whole_header_of_another_version_is_no_damage() -> None:
    later = HEADER.replace(b"headrace.format\x022", b"headrace.format\x029")
    with pytest.raises(UnknownFormatError, match=r"^9$"):
        read_header(take_from(later), FIRST)


def test_a_block_comes_back_with_what_it_covers_and_where_the_next_begins() -> None:
    block, end = read_block(take_from(HEADER + BLOCK), len(HEADER), header())
    assert block == Block(7, 9, SCHEMA, PAYLOAD, 2)
    assert end == len(HEADER) + len(BLOCK)


def test_a_block_is_whole_or_cut_off() -> None:
    for size in range(len(BLOCK)):
        with pytest.raises(DamageError, match="the block is cut off") as caught:
            read_block(take_from(BLOCK[:size]), 0, header())
        assert (caught.value.position, caught.value.behind) == (0, None)


def test_any_flipped_bit_behind_the_count_is_noticed() -> None:
    for bit in range(8, 8 * len(BLOCK)):
        altered = bytearray(BLOCK)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DamageError):
            read_block(take_from(bytes(altered)), 0, header())


def test_a_block_without_its_sync_marker_tells_where_the_next_may_be() -> None:
    with pytest.raises(DamageError, match="the sync marker after the block is missing") as caught:
        read_block(take_from(BLOCK[:-1] + b"\x00"), 0, header())
    assert caught.value.behind == (len(BLOCK), sync_marker(FIRST))


def test_a_damaged_length_allocates_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def decompress(_data: bytes) -> bytes:
        pytest.fail("it must not begin to unpack 4 GiB")

    snappy = SimpleNamespace(decompress_raw_len=cramjam.snappy.decompress_raw_len, decompress_raw=decompress)
    fake = SimpleNamespace(snappy=snappy, DecompressionError=cramjam.DecompressionError)
    monkeypatch.setattr("infra.segments.format.cramjam", fake)
    body = b"\xff\xff\xff\xff\x0f" + b"\x00" * 8  # of Snappy: 4 GiB follow
    data = encode_long(1) + encode_long(len(body) + 4) + body + crc32(b"").to_bytes(4, "big") + sync_marker(FIRST)
    with pytest.raises(DamageError, match="the block's data is altered"):
        read_block(take_from(data), 0, header())


@pytest.mark.parametrize(("count", "size"), [(0, 20), (-1, 20), (1, 4), (1, -1)])
def test_a_block_of_nothing_is_damaged(count: int, size: int) -> None:
    data = encode_long(count) + encode_long(size) + bytes(64)
    with pytest.raises(DamageError, match=f"a block of {count} objects in {size} bytes"):
        read_block(take_from(data), 0, header())


def test_any_avro_reader_reads_it() -> None:
    reader = fastavro.reader(BytesIO(HEADER + BLOCK))
    assert [tuple(row.values()) for row in reader] == [(7, 9, -1), (8, 9, 2**62)]  # type: ignore[union-attr]  # records


def test_offsets_are_those_of_the_first_object() -> None:
    assert decode_offsets(PAYLOAD) == (7, 9)
    with pytest.raises(IndexError):
        decode_offsets(b"")


@pytest.mark.parametrize(
    "fields",
    [[], FIELDS[:1], FIELDS[1:], [{"name": "offset", "type": "int"}, FIELDS[1]], [FIELDS[1], FIELDS[0]]],
)
def test_a_schema_without_the_offsets_in_front_is_refused(fields: list[dict[str, str]]) -> None:
    check_schema(SCHEMA)
    with pytest.raises(ValueError, match="begins with the fields offset: long, next_offset: long; came"):
        check_schema(json.dumps({"type": "record", "name": "row", "fields": fields}))
