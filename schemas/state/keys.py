"""Keys of online state: prefix-free, ordered by time within a key, and the partition that holds them.

Invariant: no encoded key is a prefix of another of the same view, bytes sort as (view, join keys, time, identity) do,
and join keys that are longer than ``MAX_JOIN_KEY_BYTES`` are never encoded, so that nothing behind has to fear them.

Format version 2. Integers are big-endian; signed ones have their sign bit flipped, so that bytes sort as numbers.

| space | bytes                                                                        |
|-------|------------------------------------------------------------------------------|
| row   | ``R``, view id u64, join keys, event time i64 µs; of a view with identity    |
|       | columns also these, encoded as join keys are, and their length u8            |
| tile  | ``T``, view id u64, join keys, resolution u64 µs, tile start i64 µs          |
| meta  | ``M``, name in ASCII                                                         |

A join key is ``00`` for null; ``01`` and i64; or ``02``, UTF-8 with each ``00`` written ``00 FF``, and ``00 00``. Of an
identity column a bool is the i64 0 or 1, and a timestamp its µs.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from schemas.limits import MAX_IDENTITY_BYTES, MAX_JOIN_KEY_BYTES

FORMAT_VERSION: Final = 2

ROWS: Final = b"R"
TILES: Final = b"T"

TIME_BYTES: Final = 8

WITHOUT_TIME: Final = slice(0, -TIME_BYTES)
"""Of a row key without identity (``without_identity``): what all rows of its key have in common."""

_VIEW: Final = slice(1, 9)
_RESOLUTION: Final = slice(-16, -8)

_NULL, _INT, _STRING = b"\x00", b"\x01", b"\x02"
_SIGN: Final = 1 << 63
_pack_u64: Final = struct.Struct(">Q").pack
_pack_tile: Final = struct.Struct(">QQ").pack
_unpack_u64: Final = struct.Struct(">Q").unpack_from
_MASK: Final = 0xFFFFFFFF

_CACHED_KEYS: Final = 65_536
_MAX_CACHED_KEY_BYTES: Final = 128  # two UUIDs as text; 65,536 of them take 27 MB with all that the cache adds

JoinKey = str | int | None


class LongKeyError(Exception):
    """Join keys, or identity columns, are too long.

    Whoever knows their names turns this into an error of the record or of the request.

    Attributes:
        position: of the longest value.
        size: of all of them, in bytes as encoded.
    """

    def __init__(self, position: int, size: int) -> None:
        super().__init__(position, size)
        self.position = position
        self.size = size


def encode_join_keys(values: Sequence[JoinKey]) -> bytes:
    """Returns the bytes of join key values, in the order of the view's join keys.

    Raises:
        LongKeyError: they take more than ``MAX_JOIN_KEY_BYTES``.
    """
    parts = []
    for value in values:
        if value is None:
            parts.append(_NULL)
        elif isinstance(value, str):
            parts.append(_STRING + value.encode().replace(b"\x00", b"\x00\xff") + b"\x00\x00")
        else:
            parts.append(_INT + _pack_u64(value + _SIGN))
    key = b"".join(parts)
    if len(key) > MAX_JOIN_KEY_BYTES:
        sizes = [len(part) for part in parts]
        raise LongKeyError(sizes.index(max(sizes)), len(key))
    return key


def encode_identity(values: Sequence[JoinKey]) -> bytes:
    """Returns what stands behind the event time in the row key of a view with identity columns.

    Args:
        values: of these columns, in their order.

    Raises:
        LongKeyError: they take more than ``MAX_IDENTITY_BYTES``.
    """
    identity = encode_join_keys(values)
    if len(identity) > MAX_IDENTITY_BYTES:
        sizes = [len(encode_join_keys([value])) for value in values]
        raise LongKeyError(sizes.index(max(sizes)), len(identity))
    return identity + bytes((len(identity),))


def without_identity(key: bytes) -> bytes:
    """Returns the row key of a view with identity columns up to its event time."""
    return key[: -1 - key[-1]]


def row_prefix(view: int, key: bytes) -> bytes:
    """Returns what all rows of one key of one view begin with."""
    return ROWS + _pack_u64(view) + key


def tile_prefix(view: int, key: bytes) -> bytes:
    """Returns what all tiles of one key of one view begin with."""
    return TILES + _pack_u64(view) + key


def time_suffix(event_time: int) -> bytes:
    """Returns how a row key ends, but for ``encode_identity``; ``event_time`` in µs since the epoch."""
    return _pack_u64(event_time + _SIGN)


def tile_suffix(resolution: int, start: int) -> bytes:
    """Returns the last part of a tile key; both in µs."""
    return _pack_tile(resolution, start + _SIGN)


def time_of(key: bytes) -> int:
    """Returns the event time of a row key without identity, or the start of a tile key."""
    return int(_unpack_u64(key, len(key) - 8)[0]) - _SIGN


def view_of(key: bytes) -> int:
    """Returns the view id in a row or tile key."""
    return int.from_bytes(key[_VIEW], "big")


def resolution_of(key: bytes) -> int:
    """Returns the resolution in a tile key, in µs."""
    return int.from_bytes(key[_RESOLUTION], "big")


def meta_key(name: str) -> bytes:
    """Returns the key of a fact about the whole partition."""
    return b"M" + name.encode("ascii")


NEXT_OFFSET: Final = meta_key("next_offset")
CLOCK: Final = meta_key("clock")
DIGESTS: Final = meta_key("view/")
WATERMARKS: Final = meta_key("watermark/")
RETIRED: Final = meta_key("retired/")


def digest_key(view: int) -> bytes:
    """Returns the key under which a partition's state names the view that an id stands for."""
    return DIGESTS + str(view).encode("ascii")


def watermark_key(view: int) -> bytes:
    """Returns the key of a view's watermark in one partition."""
    return WATERMARKS + str(view).encode("ascii")


def retired_key(view: int) -> bytes:
    """Returns the key of the time for which a removed view has been kept in one partition."""
    return RETIRED + str(view).encode("ascii")


def numbered_by(space: bytes, key: bytes) -> int:
    """Returns the view id at the end of a key of ``DIGESTS``, ``WATERMARKS`` or ``RETIRED``."""
    return int(key[len(space) :])


def view_ranges(view: int) -> tuple[tuple[bytes, bytes], ...]:
    """Returns where all rows, and where all tiles, of a view lie: first key and the one behind."""
    return ((row_prefix(view, b""), row_prefix(view + 1, b"")), (tile_prefix(view, b""), tile_prefix(view + 1, b"")))


def murmur2(data: bytes) -> int:
    """Returns Kafka's 32-bit hash of a key (org.apache.kafka.common.utils.Utils.murmur2), as an unsigned integer."""
    length = len(data)
    h = 0x9747B28C ^ length
    whole = length & ~3
    for (k,) in struct.iter_unpack("<I", data[:whole]):
        k = (k * 0x5BD1E995) & _MASK  # noqa: PLW2901 - the algorithm's own variable
        k ^= k >> 24  # noqa: PLW2901 - the algorithm's own variable
        h = ((h * 0x5BD1E995) & _MASK) ^ ((k * 0x5BD1E995) & _MASK)
    rest = length - whole
    if rest:
        h ^= int.from_bytes(data[whole:], "little")
        h = (h * 0x5BD1E995) & _MASK
    h ^= h >> 13
    h = (h * 0x5BD1E995) & _MASK
    return h ^ (h >> 15)


def partition_of(key: bytes, partitions: int) -> int:
    """Returns the updates partition of encoded join keys, as Kafka's default partitioner would."""
    return _remembered(key, partitions) if len(key) <= _MAX_CACHED_KEY_BYTES else _partition_of(key, partitions)


def _partition_of(key: bytes, partitions: int) -> int:
    return (murmur2(key) & 0x7FFFFFFF) % partitions


# A hash takes 2 µs in Python (70 µs of 1 KiB), and keys repeat.
_remembered: Final = lru_cache(maxsize=_CACHED_KEYS)(_partition_of)
