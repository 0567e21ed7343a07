"""The offline log: every row of every view, in the order of its updates partition (docs/design.md §4).

Invariant: the log is its updates partition, up to ``next_offset``. ``read_updates`` gives back each update as it came,
but for who waited for it, so whatever was folded from the partition can be folded from the log.

Files are ``log/{workspace}/partition={P}/{first offset}.avro`` (``infra.segments.log``). One block holds a batch, one
object a message::

    offset, next_offset             of the message; of the batch
    plan, view, source_partition    of the update
    rows                            union of one record per view, each ``{rows: array of the view's rows}``

A view's row is ``_append_time`` (timestamp-millis), ``_offset`` and ``_index`` (what, with ``source_partition``, makes
its version), then the view's columns. The row record's attribute ``headrace.join_keys`` says how many of them are join
keys; the event time is the one after.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

from infra.paths import offline_log_folder
from infra.segments.disk import Disk
from infra.segments.log import ROLL_BYTES, SegmentLog, decode_objects, read_blocks, read_objects
from processors.logs.columns import Encode, encode_records, field_encoder
from schemas.avro.binary import encode_long, encode_longs
from schemas.definitions.plan import ViewPlan
from schemas.errors import StorageError, UnavailableError
from schemas.messages.updates import MESSAGE_FORMAT, Row, Update, UpdateMessage, Value
from schemas.state.keys import encode_join_keys
from schemas.types import Field

_JOIN_KEYS: Final = "headrace.join_keys"
_ROW_FIELDS: Final = (
    {"name": "_append_time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "_offset", "type": "long"},
    {"name": "_index", "type": "int"},
)


class OfflineLog:
    """The writer of one partition's log. Call ``open`` before anything else.

    Args:
        disk: where the data folder is.
        workspace: its name.
        partition: of the workspace's updates topic.
        roll_bytes: a segment this large gets no more blocks.
    """

    def __init__(self, disk: Disk, workspace: str, partition: int, *, roll_bytes: int = ROLL_BYTES) -> None:
        self._log = SegmentLog(disk, offline_log_folder(workspace, partition), roll_bytes=roll_bytes)
        self._format: _Format | None = None

    def open(self) -> int:
        """Finds where the log stands and returns how many bytes of an unfinished append were cut.

        Raises:
            StorageError: a file is damaged or of an unknown format.
        """
        return self._log.open()

    @property
    def next_offset(self) -> int | None:
        """The offset after the last batch; None while the log is empty."""
        return self._log.next_offset

    def check(self, views: Mapping[int, ViewPlan], message: UpdateMessage) -> None:
        """Encodes a message as ``append`` does, and writes nothing.

        Raises:
            UnavailableError: it is of a view that is not in ``views``.
            Exception: it is no update of its view, such as values of the wrong number or type.
        """
        _Format.of(views).encode(message, message.offset + 1)

    def append(self, views: Mapping[int, ViewPlan], messages: Sequence[UpdateMessage], next_offset: int) -> None:
        """Adds those messages that the log does not have, as one block.

        A segment's schema has the views that were known when it was opened; a message of another view opens the next.

        Args:
            views: every view that is known, by id, current or not.
            messages: in order.
            next_offset: where the partition goes on after them.

        Raises:
            UnavailableError: a message is of a view that is not in ``views``; nothing was written.
            StorageError: the disk failed; the log is as it was.
        """
        reached = self._log.next_offset or 0
        fresh = [message for message in messages if message.offset >= reached]
        if not fresh:
            return
        known = self._format
        if known is None or any(message.update.view not in known.branches for message in fresh):
            known = self._format = _Format.of(views)
        payload = b"".join([known.encode(message, next_offset) for message in fresh])
        self._log.append(known.schema, len(fresh), payload, fresh[0].offset, next_offset)


@dataclass(frozen=True, slots=True)
class _Branch:
    """How one view's rows are written: its place in the union, as bytes, and an encoder for each column."""

    index: bytes
    columns: tuple[Encode, ...]


@dataclass(frozen=True, slots=True)
class _Format:
    """The schema of a segment and what writes by it."""

    schema: str
    branches: Mapping[int, _Branch]

    @classmethod
    def of(cls, views: Mapping[int, ViewPlan]) -> "_Format":
        """Returns the format for the given views, by id."""
        ordered = [views[view] for view in sorted(views)]
        longs = ("offset", "next_offset", "plan", "view", "source_partition")
        document = {
            "type": "record",
            "name": "headrace_update",
            "fields": [
                *({"name": name, "type": "long"} for name in longs),
                {"name": "rows", "type": [_rows_schema(view) for view in ordered]},
            ],
        }
        branches = {view.id: _Branch(encode_long(index), tuple(_encoders(view))) for index, view in enumerate(ordered)}
        return cls(json.dumps(document, separators=(",", ":")), branches)

    def encode(self, message: UpdateMessage, next_offset: int) -> bytes:
        """Returns the object of a message."""
        update = message.update
        branch = self.branches.get(update.view)
        if branch is None:
            raise UnavailableError(
                f"update {message.offset} is of view {update.view}, which is not among the definitions that this "
                f"process has read; wait until it has plan {update.plan}"
            )
        rows = update.rows
        columns = [
            encode_longs([row.append_time for row in rows]),
            encode_longs([row.offset for row in rows]),
            encode_longs([row.index for row in rows]),
        ]
        values = zip(*[row.values for row in rows], strict=True)
        columns += [encode(column) for encode, column in zip(branch.columns, values, strict=bool(rows))]
        head = (message.offset, next_offset, update.plan, update.view, update.source_partition)
        return b"".join((*encode_longs(head), branch.index, encode_records(columns)))


def _rows_schema(view: ViewPlan) -> dict[str, Any]:
    row = view.row_schema()
    fields = [*_ROW_FIELDS, *row["fields"]]
    items = {**row, "fields": fields, _JOIN_KEYS: len(view.join_keys)}
    return {
        "type": "record",
        "name": f"rows_of_{row['name']}",
        "fields": [{"name": "rows", "type": {"type": "array", "items": items}}],
    }


def _encoders(view: ViewPlan) -> Iterator[Encode]:
    for column in view.columns:
        required = column.required or column.name == view.timestamp_field
        yield field_encoder(Field(column.name, column.dtype, required))


def read_updates(
    disk: Disk, workspace: str, partition: int, from_offset: int = 0, end_offset: int | None = None
) -> Iterator[UpdateMessage]:
    """Yields the updates of a partition from an offset on, as they came, with nobody waiting.

    Args:
        disk: where the data folder is.
        workspace: its name.
        partition: which one.
        from_offset: where to begin.
        end_offset: where to stop, as the log says that it stands there; None for its end.

    Raises:
        StorageError: a file is damaged or of an unknown format, or blocks are missing before it.
    """
    folder = offline_log_folder(workspace, partition)
    for block in read_blocks(disk, folder, from_offset, end_offset):
        schema, join_keys = _plain(block.schema)
        try:
            items = decode_objects(replace(block, schema=schema))
        except ValueError as error:
            raise StorageError(
                f"{folder}: the block with offset {block.first_offset} is damaged ({error}): restore its file from a "
                "copy"
            ) from error
        for item in items:
            if item["offset"] >= from_offset:
                yield _message(item, join_keys[item["view"]])


def _message(item: dict[str, Any], join_keys: int) -> UpdateMessage:
    rows = []
    for row in item["rows"]["rows"]:
        append_time, offset, index, *values = row.values()
        key = encode_join_keys(values[:join_keys])
        rows.append(Row(key, values[join_keys], append_time, offset, index, values))
    update = Update(MESSAGE_FORMAT, item["plan"], item["view"], item["source_partition"], rows, [])
    return UpdateMessage(item["offset"], update)


@lru_cache(maxsize=16)
def _plain(schema: str) -> tuple[str, dict[int, int]]:
    """Returns a segment's schema with timestamps as plain numbers, and how many join keys each view has, by id."""
    document = json.loads(schema)
    join_keys = {}
    for branch in document["fields"][-1]["type"]:
        row = branch["fields"][0]["type"]["items"]
        join_keys[int(row["name"].rpartition("__")[2])] = row[_JOIN_KEYS]
    return json.dumps(_without_logical_types(document)), join_keys


def _without_logical_types(document: Any) -> Any:
    if isinstance(document, list):
        return [_without_logical_types(item) for item in document]
    if isinstance(document, dict):
        return {name: _without_logical_types(item) for name, item in document.items() if name != "logicalType"}
    return document


def read_rows(disk: Disk, workspace: str, partition: int, view: int) -> Iterator[dict[str, Value]]:
    """Yields the rows of one view in a partition's log, in order: repeats and rows that lost, too.

    Each has the view's columns, then ``_append_time``, ``_source_partition``, ``_offset`` and ``_index``: its version,
    the highest of which counts among rows with the same join keys and event time. Timestamps are aware, in UTC.

    Raises:
        StorageError: a file is damaged or of an unknown format.
    """
    for item in read_objects(disk, offline_log_folder(workspace, partition)):
        if item["view"] != view:
            continue
        for row in item["rows"]["rows"]:
            version = {name: row.pop(name) for name in ("_append_time", "_offset", "_index")}
            yield {**row, "_source_partition": item["source_partition"], **version}
