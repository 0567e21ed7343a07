"""Values of online state, for the one that writes them and for all that read them. Keys: ``schemas.state.keys``.

Invariant: whoever knows a key's space knows how to read its value; nothing here depends on the view but its stored
columns (``schemas.definitions.plan.stored_columns``) and partials.

Layout, format version ``schemas.state.keys.FORMAT_VERSION``; numbers and arrays are MessagePack unless said otherwise:

| space | value                                                                                                      |
|-------|------------------------------------------------------------------------------------------------------------|
| row   | version (24 bytes: append time u64 ms, partition u32, offset u64, row index u32; big-endian), then the      |
|       | array of the view's stored columns                                                                         |
| tile  | array: greatest event time in the tile (µs), then one partial per ``ViewPlan.partials``                     |
| meta  | ``next_offset``: number; ``watermark/{view id}``: number, µs;                                               |
|       | ``view/{view id}``: digest (32 bytes, ``schemas.definitions.plan.view_digest``);                           |
|       | ``retired/{view id}``: array: number of the plan after which the view was removed, seconds that count      |
|       | since (``processors.materialize.retirements``);                                                            |
|       | ``clock``: array: the fields of ``processors.materialize.held_clock.Reading``                              |
"""

import struct
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from schemas.state.keys import NEXT_OFFSET
from schemas.state.reader import Reader

Tile = list[Any]
"""Greatest event time, partial, partial, …"""

NEWEST: Final = 0
"""Where a tile holds its greatest event time."""

FIRST_PARTIAL: Final = 1
"""Where a tile's partials begin."""

_VERSION: Final = struct.Struct(">QIQI")
VERSION_BYTES: Final = _VERSION.size

encode: Final = msgspec.msgpack.Encoder().encode
decode: Final = msgspec.msgpack.Decoder().decode
decode_number: Final = msgspec.msgpack.Decoder(int).decode


def version_bytes(append_time: int, partition: int, offset: int, index: int) -> bytes:
    """Returns a row's version as bytes that sort as versions do: of rows with one identity the highest counts.

    Args:
        append_time: when Kafka took the source record, ms since the epoch.
        partition: of the source record.
        offset: of the source record.
        index: which of the rows that the view made of the record.
    """
    return _VERSION.pack(append_time, partition, offset, index)


def decode_row(value: bytes) -> list[Any]:
    """Returns the stored columns of a row."""
    columns: list[Any] = decode(value[VERSION_BYTES:])
    return columns


def decode_rows(items: Iterable[tuple[bytes, bytes]]) -> list[list[Any]]:
    """Returns the stored columns of each row; ``items`` are keys and values, as a scan yields them."""
    # Not by ``decode_row``: the calls alone would add an eighth to what decoding the rows at a window's edges takes.
    return [decode(value[VERSION_BYTES:]) for _, value in items]


def next_offset_of(state: Reader) -> int | None:
    """Returns the offset after the last update that the state holds; None while it holds none.

    It is written with the rows that it covers or not at all, so it always tells where to go on.
    """
    value = state.get(NEXT_OFFSET)
    return None if value is None else decode_number(value)
