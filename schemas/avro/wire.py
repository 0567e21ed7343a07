"""The Confluent wire format: what stands before the Avro body of a record in Kafka.

| bytes | what                                            |
|-------|-------------------------------------------------|
| 1     | magic byte, 0                                   |
| 4     | id of the writer's schema, u32 big-endian       |
| rest  | the record in Avro's binary encoding            |

Invariant: what ``frame`` writes, ``unframe`` reads back; bytes left over are an error.
"""

import io
import struct
from typing import Any, Final, cast

import fastavro

from schemas.avro.schema import ParsedSchema
from schemas.errors import CodecError

MAGIC: Final = b"\x00"
PREFIX_BYTES: Final = 5


def frame(schema_id: int, schema: ParsedSchema, record: dict[str, Any]) -> bytes:
    """Returns a record in the Confluent wire format."""
    buffer = io.BytesIO()
    buffer.write(MAGIC + struct.pack(">I", schema_id))
    fastavro.schemaless_writer(buffer, schema, record)
    return buffer.getvalue()


def schema_id_of(value: bytes) -> int:
    """Returns the schema id in the prefix of a framed record.

    Raises:
        CodecError: there is no prefix.
    """
    if len(value) < PREFIX_BYTES or value[:1] != MAGIC:
        got = f"{len(value)} bytes starting with {value[:PREFIX_BYTES].hex()}" if value else "nothing"
        raise CodecError(f"expected the Confluent wire format (0x00, schema id, Avro body), got {got}")
    return int.from_bytes(value[1:PREFIX_BYTES], "big")


def unframe(value: bytes, writer: ParsedSchema, reader: ParsedSchema | None) -> dict[str, Any]:
    """Returns the record in a framed value; timestamps become aware datetimes in UTC.

    Args:
        value: the framed record.
        writer: the schema that its prefix names.
        reader: the schema it is wanted in; None where it equals the writer's.

    Raises:
        CodecError: the body does not decode, does not fit the reader's schema, or has bytes left over.
    """
    buffer = io.BytesIO(value)
    buffer.seek(PREFIX_BYTES)
    try:
        record = fastavro.schemaless_reader(buffer, writer, reader)
    except Exception as error:  # fastavro raises whatever its C code meets: EOFError, …
        raise CodecError(f"the Avro body does not decode: {type(error).__name__}: {error}") from error
    if buffer.tell() != len(value):
        raise CodecError(f"the Avro body has {len(value) - buffer.tell()} bytes left over")
    return cast("dict[str, Any]", record)
