"""An append-only log of Avro objects in files that roll: offline log and source log (docs/design.md §4).

Invariant: what ``append`` returned from is found again after any crash of the process, whole and once; what a crash of
the machine tears off is cut at the last whole block, and ``next_offset`` says from where to read Kafka again.

Files are ``{folder}/{first offset:020d}.avro``, in the layout of ``infra.segments.format``. They roll by size or by a
change of schema, never by the clock, so that the same input makes the same files.

A bad block is a torn tail if nothing valid follows it in the newest file. Anywhere else it is damage, which is reported
and never skipped: cutting there would silently drop blocks that are whole.

A segment is synced before its successor gets the first block, and each header says where the log stood. So a crash of
the machine tears the newest segment only; where a disk did not keep its word, blocks before the newest segment are
missing: a *hole*. It can only be there: a segment that has a successor with a successor was on disk before the former
was begun, and each start looks at the newest two. Readers compare all.

``next_offset`` is then where the hole begins, so that Kafka is read again from there. Nothing is dropped before Kafka
has shown that it still holds what is missing: the append that begins to fill the hole drops the segment behind it.
"""

import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any, Final

from fastavro import parse_schema, schemaless_reader
from fastavro.types import Schema

from infra.logs import get_logger
from infra.segments.disk import Disk
from infra.segments.format import (
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

ROLL_BYTES: Final = 64 << 20
_WINDOW_BYTES: Final = 1 << 20
_NAME: Final = re.compile(r"\d{20}\.avro")

_log = get_logger(__name__)


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

    path: str
    schema: str
    sync: bytes
    next_offset: int
    end: int


@dataclass(frozen=True, slots=True)
class _Hole:
    """Blocks that are missing before the newest segment.

    ``end``: the offset before which they were. ``before``: the tail that the hole begins after, if there is any.
    ``dropped``: paths of the segments behind it, newest first.
    """

    end: int
    before: _Tail | None
    dropped: list[str]


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
        self._hole: _Hole | None = None

    @property
    def next_offset(self) -> int | None:
        """The offset after the last block, or after the last one before a hole; None while the log is empty."""
        return self._next_offset

    def open(self) -> int:
        """Finds where the log stands, and cuts what the last crash left unfinished.

        Returns:
            How many bytes were cut. A hole is told in the log; what is behind it is not cut yet.

        Raises:
            StorageError: a file is damaged in a way that no crash explains, or of an unknown format.
        """
        self._hole = self._current = self._next_offset = None
        cut = 0
        offsets = _first_offsets(self._disk, self._folder)
        while offsets:
            segment = _Segment(self._disk, self._folder, offsets.pop())
            tail = segment.tail()
            if tail is not None:
                cut += segment.size - tail.end
                # In this order: a hole, if there is one, has its own say on where to go on.
                self._go_on_after(tail)
                self._look_for_hole(offsets, segment)
                break
            # Not one whole block: the crash came while this segment was begun, and the log ends in the one before.
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
            StorageError: the disk failed, or the block comes after a hole and does not begin to fill it; the log is as
                it was.
        """
        if objects < 1 or decode_offsets(payload) != (first_offset, next_offset):
            raise ValueError(f"the payload does not begin with offset {first_offset}, next_offset {next_offset}")
        if not max(0, self._next_offset or 0) <= first_offset < next_offset:
            raise ValueError(
                f"block [{first_offset}, {next_offset}) does not follow {self._folder}, "
                f"which is at {self._next_offset}: drop what it has before appending"
            )
        if self._hole is not None:
            self._drop_behind(self._hole, first_offset)
        current, prefix = self._current, b""
        if current is None or current.schema != schema or current.size >= self._roll_bytes:
            check_schema(schema)
            if current is not None:
                # Before its successor exists: then a crash of the machine tears the newest segment only.
                self._disk.sync(current.path)
            after = first_offset if current is None or self._next_offset is None else self._next_offset
            prefix = encode_header(schema, first_offset, after)
            current = _Current(_path(self._folder, first_offset), schema, sync_marker(first_offset), 0)
        # In one append with the header: a segment without a block is always a torn one.
        data = prefix + encode_block(payload, objects, current.sync)
        self._disk.append(current.path, data)
        # Not before: a failed append leaves this object as it leaves the disk.
        self._current = _Current(current.path, schema, current.sync, current.size + len(data))
        self._next_offset = next_offset

    def _go_on_after(self, tail: _Tail) -> None:
        if tail.end < self._disk.size(tail.path):
            self._disk.truncate(tail.path, tail.end)
        self._current = _Current(tail.path, tail.schema, tail.sync, tail.end)
        self._next_offset = tail.next_offset

    def _look_for_hole(self, older: list[int], newest: "_Segment") -> None:
        """Checks that the newest segment begins where the one before it ends."""
        after = newest.header().after
        dropped, tail = [newest.path], None
        for first_offset in reversed(older):
            segment = _Segment(self._disk, self._folder, first_offset)
            # Reads the last block alone, which is all that most starts need.
            if segment.ends_at(after):
                return
            tail = segment.tail()
            if tail is not None:
                break
            dropped.append(segment.path)
        if not older or (tail is not None and tail.next_offset == after):
            return
        self._next_offset = older[0] if tail is None else tail.next_offset
        self._current = None
        self._hole = _Hole(after, tail, dropped)
        _log.error(
            "records are missing in the middle of a log, after a crash of the machine: Kafka is read again from there",
            folder=self._folder,
            first=self._next_offset,
            end=after,
        )

    def _drop_behind(self, hole: _Hole, first_offset: int) -> None:
        """Drops what is behind a hole: the block that comes next, from Kafka, is the first that was missing."""
        if first_offset >= hole.end:
            raise StorageError(
                f"{self._folder}: offsets {self._next_offset} to {hole.end} are missing before {hole.dropped[0]}, and "
                "Kafka no longer holds them: restore the file before it from a copy; or move that file and all before "
                "it away, to go on with a log that begins later"
            )
        # Newest first: a crash in between leaves a log with the same hole, or one that ends at it.
        for path in hole.dropped:
            self._disk.remove(path)
        self._hole = None
        if hole.before is not None:
            self._go_on_after(hole.before)
            self._disk.sync(hole.before.path)  # else what was dropped might come back


def read_blocks(disk: Disk, folder: str, from_offset: int = 0, end_offset: int | None = None) -> Iterator[Block]:
    """Yields the blocks that hold offsets from ``from_offset`` on, the first of them perhaps older ones too.

    A torn tail of the newest segment ends the log, so a log can be read while it is written.

    Args:
        disk: where the folder is.
        folder: relative to the disk's root.
        from_offset: where to begin.
        end_offset: the end of a block, where to stop; None for the end of the log.

    Raises:
        StorageError: a file is damaged or of an unknown format, or blocks are missing before one.
    """
    for _, block in _positioned_blocks(disk, folder, from_offset, end_offset):
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
        objects.extend(schemaless_reader(stream, schema, None) for _ in range(block.count))  # type: ignore[misc]  # its stubs know no records
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
        # A block may follow any marker that is found, whatever became of the lengths in between: one whole block proves
        # that more was written here than an append that did not end.
        rest = self._disk.read(self.path, damage.position, self.size - damage.position)
        sync = sync_marker(self.first_offset)
        ends = (damage.position + found.end() for found in re.finditer(re.escape(sync), rest))
        return not any(self._has_block(end, sync) for end in ends)

    def _has_block(self, position: int, sync: bytes) -> bool:
        try:
            read_block(self.take, position, Header("", sync, 0, 0))
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
        return _Tail(self.path, header.schema, header.sync, block.next_offset, end)

    def ends_at(self, offset: int) -> bool:
        """Tells whether the last block, found from the end, has this ``next_offset``; False also if it is not found.

        What is before the last block is not looked at.
        """
        start = max(0, self.size - _WINDOW_BYTES)
        end = self.take(start, self.size - start)
        sync = sync_marker(self.first_offset)
        found = end.rfind(sync, 0, max(0, len(end) - len(sync)))
        if found < 0:
            return False
        try:
            block, position = read_block(self.take, start + found + len(sync), Header("", sync, 0, 0))
        except DamageError:
            return False
        return position == self.size and block.next_offset == offset


def _positioned_blocks(
    disk: Disk, folder: str, from_offset: int, end_offset: int | None = None
) -> Iterator[tuple[tuple[str, int], Block]]:
    offsets = _first_offsets(disk, folder)
    # The segment that holds an offset may begin before it.
    begin = max((index for index, first in enumerate(offsets) if first <= from_offset), default=0)
    reached: int | None = None
    for first_offset in offsets[begin:]:
        if end_offset is not None and max(first_offset, reached or 0) >= end_offset:
            return
        segment = _Segment(disk, folder, first_offset)
        try:
            header = segment.header()
            if reached is not None and header.after != reached:
                raise _missing(segment.path, reached, header.after)
            for position, block, _ in segment.blocks(header):
                reached = block.next_offset
                if reached > from_offset:
                    yield (segment.path, position), block
                if reached == end_offset:
                    return
        except DamageError as damage:
            # An older segment was synced whole before its successor was begun, so nothing in it can be a torn tail.
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


def _missing(path: str, reached: int, after: int) -> StorageError:
    """Returns the error for a segment that does not begin where the one before it ends."""
    return StorageError(
        f"{path} goes on after offset {after}, but the file before it ends at {reached}: start the processor, which "
        "reads what is missing again from Kafka; or restore the file before it from a copy"
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
