"""The source log: the records of a stream source as producers sent them, to backfill new views from.

Invariant: each Avro body is there byte for byte, under the schema that its producer named; records that no schema
could read are not: they are dead letters.

Files are ``log/{workspace}/source={source}/partition={N}/{first offset}.avro`` (``infra.segments.log``); one block
holds a batch, one object a record::

    offset, next_offset     of the record; of the batch
    append_time             timestamp-millis, as Kafka gave it
    record                  union of one record ``schema_{id} {value: the producer's schema}`` per schema id

A union of one record per id lets records of several producers' schemas lie in one segment in their order: while
producers are upgraded one by one, a segment per schema would be a segment per record. All names in a producer's schema
get the prefix ``schema_{id}.``, since two versions of a schema define the same names.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from infra.paths import source_log_folder
from infra.segments.disk import Disk
from infra.segments.log import ROLL_BYTES, SegmentLog
from schemas.avro.binary import encode_long
from schemas.avro.schema import ParsedSchema
from schemas.avro.wire import PREFIX_BYTES, schema_id_of
from schemas.records.transform import SourceRecord

_PRIMITIVES: Final = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
_NAMED: Final = {"record", "error", "enum", "fixed"}


class SourceLog:
    """The writer of one source partition's log. Call ``open`` before anything else.

    Args:
        disk: where the data folder is.
        workspace: its name.
        source: the source's name.
        partition: of the source's topic.
        roll_bytes: a segment this large gets no more blocks.
    """

    def __init__(
        self, disk: Disk, workspace: str, source: str, partition: int, *, roll_bytes: int = ROLL_BYTES
    ) -> None:
        self._log = SegmentLog(disk, source_log_folder(workspace, source, partition), roll_bytes=roll_bytes)
        self._branches: dict[int, Any] = {}
        self._indices: dict[int, bytes] = {}
        self._schema = ""

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

    def append(
        self, records: Sequence[SourceRecord], schemas: Mapping[int, ParsedSchema | None], next_offset: int
    ) -> None:
        """Adds those records that the log does not have, as one block.

        Args:
            records: all of them decodable, in order.
            schemas: the parsed schema of each id that they carry.
            next_offset: where the partition goes on after them.

        Raises:
            StorageError: the disk failed; the log is as it was.
        """
        reached = self._log.next_offset or 0
        fresh = [(schema_id_of(record.value), record) for record in records if record.offset >= reached]
        if not fresh:
            return
        self._learn({schema_id for schema_id, _ in fresh}, schemas)
        after = encode_long(next_offset)
        parts: list[bytes] = []
        for schema_id, record in fresh:
            times = encode_long(record.append_time)
            parts += (encode_long(record.offset), after, times, self._indices[schema_id], record.value[PREFIX_BYTES:])
        self._log.append(self._schema, len(fresh), b"".join(parts), fresh[0][1].offset, next_offset)

    def _learn(self, ids: set[int], schemas: Mapping[int, ParsedSchema | None]) -> None:
        """Takes up schema ids that the log has not met; the segment rolls, as its schema changes."""
        unknown = ids - self._branches.keys()
        if not unknown:
            return
        for schema_id in unknown:
            name = f"schema_{schema_id}"
            value = {"name": "value", "type": _renamed(schemas[schema_id], f"{name}.")}
            self._branches[schema_id] = {"type": "record", "name": name, "fields": [value]}
        ordered = sorted(self._branches)
        document = {
            "type": "record",
            "name": "headrace_source_record",
            "fields": [
                {"name": "offset", "type": "long"},
                {"name": "next_offset", "type": "long"},
                {"name": "append_time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
                {"name": "record", "type": [self._branches[schema_id] for schema_id in ordered]},
            ],
        }
        self._schema = json.dumps(document, separators=(",", ":"))
        self._indices = {schema_id: encode_long(index) for index, schema_id in enumerate(ordered)}


def _renamed(schema: Any, prefix: str) -> Any:
    """Returns a parsed schema, all of whose names are full names, with a prefix before each of them."""
    if isinstance(schema, str):
        return schema if schema in _PRIMITIVES else prefix + schema
    if isinstance(schema, list):
        return [_renamed(branch, prefix) for branch in schema]
    renamed = {name: value for name, value in schema.items() if name != "aliases" and not name.startswith("__")}
    kind = schema["type"]
    if kind in _NAMED:
        renamed["name"] = prefix + schema["name"]
        if "fields" in schema:
            renamed["fields"] = [{**each, "type": _renamed(each["type"], prefix)} for each in schema["fields"]]
    elif kind == "array":
        renamed["items"] = _renamed(schema["items"], prefix)
    elif kind == "map":
        renamed["values"] = _renamed(schema["values"], prefix)
    else:
        renamed["type"] = _renamed(kind, prefix)
    return renamed
