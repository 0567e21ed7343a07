"""How large a thing may be: every limit in bytes or numbers on what records, rows and definitions hold, in one table.

Invariant: what passed these limits fits everything behind them: a message of Kafka, a tile that is decoded and written
again for each event, a cache, a pause of an event loop. A breach is an error of one record, which names the limit and
what came, or of the definition where it can be known there.

| limit                       | of                                     | refused by                               |
|-----------------------------|----------------------------------------|------------------------------------------|
| ``MAX_SOURCE_RECORD_BYTES`` | a record of a source, in Avro          | ingest API, Kafka (other producers)      |
| ``MAX_JOIN_KEY_BYTES``      | the join keys of a row, encoded        | transform, serving (400), ``apply``      |
| ``MAX_ROW_BYTES``           | a row that a view's function returned  | transform                                |
| ``MAX_ROWS_PER_RECORD``     | rows that one view makes of one record | transform                                |
| ``MAX_ROWS_BYTES``          | these rows together                    | transform                                |
| ``MAX_TILE_BYTES``          | the values that a tile keeps           | ``apply`` (too many), transform (long)   |
| ``MAX_N``                   | values in one list feature             | ``apply``                                |

Limits of requests stand where these are read: ``ingest_api.snowflake.requests`` (128 KiB a record, 10 records a
source), ``serving.tecton.get_features`` and ``serving.tecton.requests`` (5 MiB, 64 KiB of them looked at).

Both ends must agree on what they accept, and data once stored stays: a limit may be raised later, never lowered.
"""

from typing import Final

MAX_SOURCE_RECORD_BYTES: Final = 1024 * 1024
"""With its prefix of 5 bytes; its topic takes a little more, for headers and compression that does not help."""

MAX_JOIN_KEY_BYTES: Final = 1024
"""Encoded as in ``schemas.state.keys``. Each key is hashed, compared and held in memory many times."""

MAX_ROW_BYTES: Final = 1024 * 1024
"""Key, event time and values in MessagePack; as large as the largest source record, so a function may pass one on."""

MAX_ROWS_PER_RECORD: Final = 1_000

MAX_ROWS_BYTES: Final = 4 * 1024 * 1024
"""With what a message already holds, within Kafka's limit for messages between the stages."""

MAX_N: Final = 1_000
"""From `reference/tecton-http-api.md` §5."""

MAX_TILE_BYTES: Final = 1024 * 1024
"""Of the values that the functions last, min and max keep in one tile, with their times: a tile is read, decoded,
merged and written again for each batch that touches it, once per resolution."""

KEPT_VALUE_BYTES: Final = 18
"""Of a kept value: 9 bytes for its time, and 9 for itself unless it is a text; both MessagePack's longest."""

MIN_TEXT_BYTES: Final = 64
"""Each kept text may be at least this long, or ``apply`` refuses the view."""
