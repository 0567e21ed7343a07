"""The bytes of a segment: an Avro object container file, written and read block by block.

Invariant: every block that ``read_block`` returns is whole and unaltered, down to its count for readers that decode it;
anything else is a ``DamageError`` at a known position.

Format version 2. Any Avro reader can read a segment (Avro specification, "Object Container Files")::

    header  "Obj" 01
            map     avro.schema      the writer's schema, JSON
                    avro.codec       "snappy"
                    headrace.format  "2"
                    headrace.after   where the log stood when the segment was begun: the ``next_offset`` of the block
                                     before it, or its own first offset if the log was empty
                    headrace.crc32   8 hex digits: CRC-32 of schema and ``after``, so that a damaged header is known
            sync    16 bytes, BLAKE2b of the offset in the file's name: the same input makes the same file
    block   long    number of objects
            long    bytes that follow, up to the sync marker
            data    objects, compressed by Snappy, and the CRC-32 of what was compressed, 4 bytes, big-endian
            sync    the header's

Numbers (long) are zigzag varints. The first two fields of every object are ``offset: long`` and ``next_offset: long``;
``next_offset`` is the same in all objects of a block: where to resume after it. So the first two numbers of a block's
first object tell what the block covers, and nobody needs the schema to find out.
"""

import json
from binascii import crc32
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import cramjam

from schemas.avro.binary import MAX_LONG_BYTES, decode_long, encode_long
from schemas.errors import CodecError

FORMAT_VERSION: Final = 2

_MAGIC: Final = b"Obj\x01"
_CODEC: Final = b"snappy"
_SYNC_BYTES: Final = 16
_CRC_BYTES: Final = 4
_MAX_HEADER_BYTES: Final = 16 << 20
_SNAPPY_MAX_RATIO: Final = 32  # its densest element makes 64 bytes of 3; a damaged length must not allocate gigabytes

Take = Callable[[int, int], bytes]
"""Returns up to so many bytes (second) from a position (first); fewer only at the end of the file."""


class DamageError(CodecError):
    """Bytes at ``position`` are not what the format says.

    Args:
        position: where the header or block begins, in bytes from the start of the file.
        reason: what is wrong with it.
        behind: where a block would begin and the sync marker it would have, if only what is at ``position`` is bad.
    """

    def __init__(self, position: int, reason: str, behind: tuple[int, bytes] | None = None) -> None:
        super().__init__(f"at byte {position}: {reason}")
        self.position = position
        self.behind = behind


class UnknownFormatError(CodecError):
    """The header is whole and names a format version that this module does not know."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a segment says about its blocks.

    ``end``: where the first one begins. ``after``: the offset at which the segment before, if any, ends.
    """

    schema: str
    sync: bytes
    end: int
    after: int


@dataclass(frozen=True, slots=True)
class Block:
    """One block, decompressed.

    ``first_offset``: the offset of its first object. ``next_offset``: where to resume after it. ``payload``: ``count``
    objects, encoded by ``schema``, one after the other.
    """

    first_offset: int
    next_offset: int
    schema: str
    payload: bytes
    count: int


def sync_marker(first_offset: int) -> bytes:
    """Returns the sync marker of the segment that begins with ``first_offset``."""
    return blake2b(b"headrace segment %d" % first_offset, digest_size=_SYNC_BYTES).digest()


def encode_header(schema: str, first_offset: int, after: int) -> bytes:
    """Returns the header of a segment for objects of ``schema`` (Avro, JSON) in a log that ends at ``after``."""
    text = schema.encode()
    stand = b"%d" % after
    entries = {
        b"avro.schema": text,
        b"avro.codec": _CODEC,
        b"headrace.format": b"%d" % FORMAT_VERSION,
        b"headrace.after": stand,
        b"headrace.crc32": _header_check(text, stand),
    }
    body = b"".join(encode_long(len(part)) + part for entry in entries.items() for part in entry)
    return _MAGIC + encode_long(len(entries)) + body + encode_long(0) + sync_marker(first_offset)


def read_header(take: Take, first_offset: int) -> Header:
    """Returns the header of the segment whose name says ``first_offset``.

    Raises:
        DamageError: it is cut off, altered, or another file's.
        UnknownFormatError: another version of Headrace wrote it.
    """
    data = take(0, 64 << 10)
    try:
        entries, position = _decode_map(data)
    except IndexError:
        data = take(0, _MAX_HEADER_BYTES)
        try:
            entries, position = _decode_map(data)
        except IndexError:
            raise DamageError(0, "the header is cut off") from None
    version = entries.get(b"headrace.format", b"none")
    text = entries.get(b"avro.schema", b"")
    stand = entries.get(b"headrace.after", b"")
    altered = entries.get(b"headrace.crc32") != _header_check(text, stand)
    if not altered and version != b"%d" % FORMAT_VERSION:
        raise UnknownFormatError(version.decode(errors="replace"))
    sync = data[position : position + _SYNC_BYTES]
    if sync != sync_marker(first_offset):
        behind = (position + _SYNC_BYTES, sync)
        raise DamageError(0, "the header's sync marker is not the one of the file's name", behind)
    if altered or entries.get(b"avro.codec") != _CODEC:
        raise DamageError(0, "the header is altered")
    return Header(text.decode(), sync, position + _SYNC_BYTES, int(stand))


def encode_block(payload: bytes, count: int, sync: bytes) -> bytes:
    """Returns the block for ``count`` encoded objects."""
    packed = bytes(cramjam.snappy.compress_raw(payload))
    check = crc32(payload).to_bytes(_CRC_BYTES, "big")
    return b"".join((encode_long(count), encode_long(len(packed) + _CRC_BYTES), packed, check, sync))


def read_block(take: Take, position: int, header: Header) -> tuple[Block, int]:
    """Returns the block at ``position`` and where the next one begins.

    Raises:
        DamageError: the block is cut off or altered.
    """
    head = take(position, 2 * MAX_LONG_BYTES)
    try:
        count, used = decode_long(head, 0)
        size, used = decode_long(head, used)
    except IndexError:
        raise DamageError(position, "the block is cut off") from None
    if count <= 0 or size <= _CRC_BYTES:
        raise DamageError(position, f"a block of {count} objects in {size} bytes")
    body = take(position + used, size + _SYNC_BYTES)
    if len(body) < size + _SYNC_BYTES:
        raise DamageError(position, "the block is cut off")
    end = position + used + size + _SYNC_BYTES
    if body[size:] != header.sync:
        raise DamageError(position, "the sync marker after the block is missing", (end, header.sync))
    payload = _unpack(body[: size - _CRC_BYTES], position)
    if crc32(payload) != int.from_bytes(body[size - _CRC_BYTES : size], "big"):
        raise DamageError(position, "the block's checksum does not fit its data")
    first_offset, next_offset = decode_offsets(payload)
    return Block(first_offset, next_offset, header.schema, payload, count), end


def decode_offsets(payload: bytes) -> tuple[int, int]:
    """Returns ``offset`` and ``next_offset`` of the first object in ``payload``.

    Raises:
        IndexError: there is no object in it.
    """
    offset, position = decode_long(payload, 0)
    return offset, decode_long(payload, position)[0]


def check_schema(schema: str) -> None:
    """Checks that objects of an Avro schema begin with what this format reads.

    Raises:
        ValueError: it is not a record whose first fields are ``offset: long`` and ``next_offset: long``.
    """
    fields = json.loads(schema).get("fields", [])
    if [(field["name"], field["type"]) for field in fields[:2]] != [("offset", "long"), ("next_offset", "long")]:
        raise ValueError(f"a segment's schema begins with the fields offset: long, next_offset: long; came {schema}")


def _header_check(schema: bytes, after: bytes) -> bytes:
    return b"%08x" % crc32(after, crc32(schema))


def _decode_map(data: bytes) -> tuple[dict[bytes, bytes], int]:
    """Returns the header's entries and where its sync marker begins; IndexError if ``data`` ends before that."""
    if data[: len(_MAGIC)] != _MAGIC:
        if _MAGIC.startswith(data):
            raise IndexError
        raise DamageError(0, "the file does not begin as an Avro container file")
    entries: dict[bytes, bytes] = {}
    count, position = decode_long(data, len(_MAGIC))
    while count > 0:
        for _ in range(count):
            key, position = _decode_bytes(data, position)
            entries[key], position = _decode_bytes(data, position)
        count, position = decode_long(data, position)
    if count < 0 or position + _SYNC_BYTES > len(data):
        raise IndexError
    return entries, position


def _decode_bytes(data: bytes, position: int) -> tuple[bytes, int]:
    length, position = decode_long(data, position)
    if length < 0 or position + length > len(data):
        raise IndexError
    return data[position : position + length], position + length


def _unpack(packed: bytes, position: int) -> bytes:
    try:
        if cramjam.snappy.decompress_raw_len(packed) > _SNAPPY_MAX_RATIO * len(packed):
            raise DamageError(position, "the block's data is altered")
        return bytes(cramjam.snappy.decompress_raw(packed))
    except cramjam.DecompressionError:
        raise DamageError(position, "the block's data is altered") from None
