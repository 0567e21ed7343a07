"""An append-only log of Avro objects in files that roll: the offline log and the source log (design §4).

Invariant: what ``append`` returned from is found again after any crash of the process, whole and once; what a crash of
the machine tears off is cut at the last whole block, and ``next_offset`` says from where to read Kafka again.

Files are ``{folder}/{first offset:020d}.avro``, in the layout of ``infra.segment_format``. They roll by size or by a
change of schema, never by the clock, so that the same input makes the same files.

A bad block is a torn tail if nothing valid follows it in the newest file. Anywhere else it is damage, which is reported
and never skipped: cutting there would silently drop blocks that are whole.
"""

import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_reader
from fastavro.types import Schema

from infra.disk import Disk
from infra.segment_format import (
    Block,
    DamageError,
    Header,
    UnknownFormatError,
    check_schema,
    decode_offsets,
    encode_block,
    encode_header,
    read_block,
    read_header,
    sync_marker,
)
from schemas.errors import StorageError

ROLL_BYTES = 64 << 20
_WINDOW_BYTES = 1 << 20
_NAME = re.compile(r"\d{20}\.avro")


@dataclass(frozen=True, slots=True)
class _Current:
    """The segment that is appended to."""

    path: str
    schema: str
    sync: bytes
    size: int


@dataclass(frozen=True, slots=True)
class _Tail:
    """Where the whole blocks of a segment end."""

    schema: str
    sync: bytes
    next_offset: int
    end: int


class SegmentLog:
    """The one writer of a folder. Call ``open`` before anything else.

    Args:
        disk: where the folder is.
        folder: relative to the disk's root; made by the first append.
        roll_bytes: a segment this large gets no more blocks.
    """

    def __init__(self, disk: Disk, folder: str, *, roll_bytes: int = ROLL_BYTES) -> None:
        self._disk = disk
        self._folder = folder
        self._roll_bytes = roll_bytes
        self._current: _Current | None = None
        self._next_offset: int | None = None

    @property
    def next_offset(self) -> int | None:
        """The offset after the last block; None while the log is empty."""
        return self._next_offset

    def open(self) -> int:
        """Finds where the log stands, and cuts what the last crash left unfinished.

        Returns:
            How many bytes were cut.

        Raises:
            StorageError: a file is damaged in a way that no crash explains, or of an unknown format.
        """
        self._current = self._next_offset = None
        cut = 0
        for first_offset in reversed(_first_offsets(self._disk, self._folder)):
            segment = _Segment(self._disk, self._folder, first_offset)
            tail = segment.tail()
            if tail is not None:
                cut += segment.size - tail.end
                if tail.end < segment.size:
                    self._disk.truncate(segment.path, tail.end)
                self._current = _Current(segment.path, tail.schema, tail.sync, tail.end)
                self._next_offset = tail.next_offset
                return cut
            cut += segment.size
            self._disk.remove(segment.path)
        return cut

    def append(self, schema: str, objects: int, payload: bytes, first_offset: int, next_offset: int) -> None:
        """Adds one block.

        Args:
            schema: Avro, JSON; its first fields are ``offset: long`` and ``next_offset: long``.
            objects: how many objects ``payload`` holds; at least one.
            payload: the encoded objects, one after the other.
            first_offset: ``offset`` of the first object; gaps to the block before are fine.
            next_offset: ``next_offset`` of every object.

        Raises:
            ValueError: the offsets do not fit the payload, the schema, or what the log has already.
            StorageError: the disk failed; the log is as it was.
        """
        if objects < 1 or decode_offsets(payload) != (first_offset, next_offset):
            raise ValueError(f"the payload does not begin with offset {first_offset}, next_offset {next_offset}")
        if not max(0, self._next_offset or 0) <= first_offset < next_offset:
            raise ValueError(
                f"block [{first_offset}, {next_offset}) does not follow {self._folder}, "
                f"which is at {self._next_offset}: drop what it has before appending"
            )
        current, prefix = self._current, b""
        if current is None or current.schema != schema or current.size >= self._roll_bytes:
            check_schema(schema)
            prefix = encode_header(schema, first_offset)
            current = _Current(_path(self._folder, first_offset), schema, sync_marker(first_offset), 0)
        data = prefix + encode_block(payload, objects, current.sync)
        self._disk.append(current.path, data)
        self._current = _Current(current.path, schema, current.sync, current.size + len(data))
        self._next_offset = next_offset


def read_blocks(disk: Disk, folder: str, from_offset: int = 0) -> Iterator[Block]:
    """Yields the blocks that hold offsets from ``from_offset`` on, the first of them perhaps older ones too.

    A torn tail of the newest segment ends the log, so a log can be read while it is written.

    Raises:
        StorageError: a file is damaged or of an unknown format.
    """
    for _, block in _positioned_blocks(disk, folder, from_offset):
        yield block


def read_objects(disk: Disk, folder: str, from_offset: int = 0) -> Iterator[dict[str, Any]]:
    """Yields the objects with ``offset`` from ``from_offset`` on, decoded by the schema they were written with.

    Raises:
        StorageError: a file is damaged or of an unknown format.
    """
    for place, block in _positioned_blocks(disk, folder, from_offset):
        try:
            objects = decode_objects(block)
        except ValueError as error:
            raise _damage(place[0], DamageError(place[1], str(error))) from error
        yield from (each for each in objects if each["offset"] >= from_offset)


def decode_objects(block: Block) -> list[dict[str, Any]]:
    """Returns the objects of a block.

    Raises:
        ValueError: the block does not hold exactly ``count`` objects of its schema.
    """
    stream = BytesIO(block.payload)
    schema = _parsed(block.schema)
    objects: list[dict[str, Any]] = []
    try:
        objects.extend(schemaless_reader(stream, schema, None) for _ in range(block.count))  # type: ignore[misc]
    except EOFError:
        raise ValueError(f"the block says {block.count} objects and has {len(objects)}") from None
    if stream.tell() != len(block.payload):
        raise ValueError(f"the block says {block.count} objects and has more")
    return objects


class _Segment:
    """One file, read through a window: blocks are small, and each read of a disk opens the file."""

    def __init__(self, disk: Disk, folder: str, first_offset: int) -> None:
        self.path = _path(folder, first_offset)
        self.first_offset = first_offset
        self.size = disk.size(self.path)
        self._disk = disk
        self._start, self._window = 0, b""

    def take(self, position: int, length: int) -> bytes:
        """Returns up to ``length`` bytes from ``position``."""
        length = max(0, min(length, self.size - position))
        begin = position - self._start
        if begin < 0 or begin + length > len(self._window):
            self._start, self._window = position, self._disk.read(self.path, position, max(length, _WINDOW_BYTES))
            begin = 0
        return self._window[begin : begin + length]

    def header(self) -> Header:
        """Returns the header, or raises DamageError, or StorageError for a format that is not ours."""
        try:
            return read_header(self.take, self.first_offset)
        except UnknownFormatError as error:
            raise StorageError(
                f"{self.path} has format {error}, which this version of Headrace does not know: "
                "start the version that wrote it, or move the file away to have it read again from Kafka"
            ) from None

    def blocks(self, header: Header) -> Iterator[tuple[int, Block, int]]:
        """Yields start, block and end of each block, and raises DamageError at the first that is not whole."""
        position = header.end
        while position < self.size:
            block, end = read_block(self.take, position, header)
            yield position, block, end
            position = end

    def torn_from(self, damage: DamageError) -> bool:
        """Tells whether nothing but an unfinished append is behind ``damage``: no valid block follows it."""
        if damage.behind is not None and self._has_block(*damage.behind):
            return False
        rest = self._disk.read(self.path, damage.position, self.size - damage.position)
        sync = sync_marker(self.first_offset)
        ends = (damage.position + found.end() for found in re.finditer(re.escape(sync), rest))
        return not any(self._has_block(end, sync) for end in ends)

    def _has_block(self, position: int, sync: bytes) -> bool:
        try:
            read_block(self.take, position, Header("", sync, 0))
        except DamageError:
            return False
        return True

    def tail(self) -> _Tail | None:
        """Returns where the whole blocks end; None if not even the first one is whole.

        Raises:
            StorageError: what is not whole is not just a torn tail.
        """
        header = None
        newest: deque[tuple[int, Block, int]] = deque(maxlen=2)
        try:
            header = self.header()
            newest.extend(self.blocks(header))
            if newest:
                _check_count(*newest[-1][:2])
        except DamageError as damage:
            if not self.torn_from(damage):
                raise _damage(self.path, damage) from damage
            # A deque keeps what it was given before the generator raised; the count is checked after that.
            if newest and newest[-1][0] == damage.position:
                newest.pop()
        if header is None or not newest:
            return None
        _, block, end = newest[-1]
        return _Tail(header.schema, header.sync, block.next_offset, end)


def _positioned_blocks(disk: Disk, folder: str, from_offset: int) -> Iterator[tuple[tuple[str, int], Block]]:
    offsets = _first_offsets(disk, folder)
    begin = max((index for index, first in enumerate(offsets) if first <= from_offset), default=0)
    for first_offset in offsets[begin:]:
        segment = _Segment(disk, folder, first_offset)
        try:
            for position, block, _ in segment.blocks(segment.header()):
                if block.next_offset > from_offset:
                    yield (segment.path, position), block
        except DamageError as damage:
            if first_offset != offsets[-1] or not segment.torn_from(damage):
                raise _damage(segment.path, damage) from damage


def begins_at(disk: Disk, folder: str) -> int | None:
    """Returns the first offset that a log holds; None if it is empty."""
    return next(iter(_first_offsets(disk, folder)), None)


def _damage(path: str, damage: DamageError) -> StorageError:
    """Returns the error for damage that is no torn tail."""
    return StorageError(
        f"{path} is damaged {damage}: restore the file from a copy; or, if Kafka still holds its records, stop the "
        f"processor, cut the file there (truncate -s {damage.position}) and remove the files after it, so that "
        "they are read again"
    )


def _check_count(position: int, block: Block) -> None:
    """Raises DamageError if a block's count, the one number that no checksum covers, does not fit its data."""
    try:
        decode_objects(block)
    except ValueError as error:
        raise DamageError(position, str(error)) from None


def _first_offsets(disk: Disk, folder: str) -> list[int]:
    return sorted(int(name[:20]) for name in disk.list(folder) if _NAME.fullmatch(name))


def _path(folder: str, first_offset: int) -> str:
    return f"{folder}/{first_offset:020d}.avro"


@lru_cache(maxsize=64)
def _parsed(schema: str) -> Schema:
    return parse_schema(json.loads(schema))
