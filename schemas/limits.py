"""How large, long or many a thing may be: every limit of what users and callers send, in one table.

Invariant: what passed the limits of records, rows and definitions fits everything behind them: a message of Kafka, a
tile that is decoded and written again for each event, a cache, a pause of an event loop. A breach is an error of one
record or request, which names the limit and what came, or of the definition where it can be known there.

Each entry is a constant; a name that ends in a unit is in that unit. Its text says what it bounds; the paragraph
``Beyond it:`` says what happens to what is larger. `docs/reference/limits.md` is made of this module: a comment that
stands by itself is the title of what follows it.

Both ends must agree on what they accept, and data once stored stays: a limit of what is stored may be raised later,
never lowered.
"""

from typing import Final

# Records, rows and state

MAX_SOURCE_RECORD_BYTES: Final = 1024 * 1024
"""A record of a source, in Avro, with its prefix of 5 bytes.

Beyond it: the ingest API refuses the record with `RECORD_TOO_LARGE`; from other producers, Kafka does not take it.

Its topic takes a little more, for headers and compression that does not help.
"""

MAX_JOIN_KEY_BYTES: Final = 1024
"""The join keys of a row, encoded as online state has them.

Beyond it: the row is refused, and so is a read, with `INVALID_ARGUMENT`; `apply` refuses a default that is longer.

Each key is hashed, compared and held in memory many times.
"""

MAX_IDENTITY_BYTES: Final = 128
"""The identity columns of a row, encoded as join keys are: a number takes 9 bytes, a text 3 more than its own.

Beyond it: the record becomes a dead letter of that view, with `FUNCTION_FAILED`.

They stand in the key of each row, and beside each value that the function last keeps.
"""

MAX_ROW_BYTES: Final = 1024 * 1024
"""A row that a view's function returned: key, event time and values in MessagePack.

Beyond it: the record becomes a dead letter of that view, with `FUNCTION_FAILED`.

As large as the largest source record, so that a function may pass one on.
"""

MAX_ROWS_PER_RECORD: Final = 1_000
"""Rows that one view makes of one record.

Beyond it: the record becomes a dead letter of that view, with `FUNCTION_FAILED`.
"""

MAX_ROWS_BYTES: Final = 4 * 1024 * 1024
"""The rows that one view makes of one record, together.

Beyond it: the record becomes a dead letter of that view, with `FUNCTION_FAILED`.

With what a message already holds, within Kafka's limit for messages between the stages.
"""

MAX_TILE_BYTES: Final = 1024 * 1024
"""The values that the functions last, min and max keep in one tile, with their times.

Beyond it: `apply` refuses a view that keeps too many values; a row whose texts are too long for it is refused.

A tile is read, decoded, merged and written again for each batch that touches it, once per resolution.
"""

KEPT_VALUE_BYTES: Final = 18
"""A value that a tile keeps, as it is counted: 9 bytes for its time, and 9 for itself unless it is a text.

Beyond it: nothing is: these are MessagePack's longest numbers.
"""

MIN_TEXT_BYTES: Final = 64
"""A text that a tile keeps, at least.

Beyond it: `apply` refuses a view that keeps so many texts that there is not this much room for each.
"""

MAX_PROBLEM_CHARACTERS: Final = 1_000
"""What is told of one failure of a view's function.

Beyond it: the text is cut; functions may raise whole documents.
"""

MAX_MESSAGE_BYTES: Final = 8 * 1024 * 1024
"""A message of Kafka that a producer of ours sends, and that topics other than those of sources take.

Beyond it: nothing gets that large: the limits above keep every message below it.
"""

# Definitions

MAX_N: Final = 1_000
"""Values in one list feature, such as last(n).

Beyond it: `apply` refuses the view.
"""

MAX_PLAN_BYTES: Final = 4 * 1024 * 1024
"""The plan of a workspace, with the texts of its repository.

Beyond it: `apply` refuses the repository.
"""

MAX_WINDOW_DAYS: Final = 365
"""The window of an aggregate.

Beyond it: `apply` refuses the view.
"""

MAX_DURATION_DAYS: Final = 36_500
"""Every other duration in a definition.

Beyond it: `apply` refuses the definition.

Sums of durations and instants stay within 64 bits.
"""

MAX_SOURCE_NAME: Final = 32
"""Characters of the name of a source.

Beyond it: `apply` refuses the definition.
"""

MAX_ENTITY_NAME: Final = 32
"""Characters of the name of an entity.

Beyond it: `apply` refuses the definition.
"""

MAX_VIEW_NAME_AND_VERSION: Final = 45
"""Characters of the name of a feature view and its version, together.

Beyond it: `apply` refuses the definition.
"""

MAX_COLUMN_NAME: Final = 62
"""Characters of the name of a column or feature.

Beyond it: `apply` refuses the definition.
"""

MAX_SERVICE_NAME: Final = 255
"""Characters of the name of a feature service.

Beyond it: `apply` refuses the definition.
"""

MAX_TILES_READ: Final = 128
"""Tiles that one window of a view is read from, at most, whenever it is read.

Beyond it: `apply` gives the view tiles of a further width.
"""

MAX_RESOLUTIONS: Final = 5
"""Widths of tiles that one view keeps.

Beyond it: `apply` refuses the view, whose interval is too short for its window.
"""

# View functions

MODULE_LOADING_SECONDS: Final = 30.0
"""How long a module of a repository may take to load.

Beyond it: `apply` refuses the repository; on a host where it loaded before, its views fail until it does again.
"""

DRY_RUN_SECONDS: Final = 10.0
"""How long the functions of a source's views may take for one record of a dry run, together.

Beyond it: the record fails for each view, with `FUNCTION_FAILED`.
"""

MAX_DRY_RUNS_WAITING: Final = 16
"""Dry runs of one workspace that are in work or wait, in one ingest API.

Beyond it: the call is refused with `RESOURCE_EXHAUSTED`.
"""

MAX_DRY_RUN_CHILDREN: Final = 4
"""Workspaces whose functions are kept ready for dry runs, in one ingest API; each is a process.

Beyond it: the one that was idle for longest is let go; if none is idle, the call is refused with `RESOURCE_EXHAUSTED`.
"""

LOADING_MEMORY_BYTES: Final = 2 * 1024**3
"""Memory that code may take while it loads, or half of the host's, if that is more.

Beyond it: as where a module does not load.
"""

RECORD_MEMORY_BYTES: Final = 2 * 1024**3
"""Memory that a function may take for one record, beside what the loaded code has taken.

Beyond it: the record becomes a dead letter of the view, with `FUNCTION_FAILED`.
"""

# Every HTTP request

MAX_REQUEST_ID_CHARACTERS: Final = 128
"""The `X-Request-ID` that a caller chose.

Beyond it: the request gets an id of ours, as one without gets.
"""

MAX_AUTHORIZATION_CHARACTERS: Final = 1024
"""The `Authorization` header.

Beyond it: the request is refused with `UNAUTHENTICATED`, the header unread.
"""

MAX_CALLERS_LOOKED_UP: Final = 256
"""Callers that one server does not know yet, and asks the access store for at a time.

Beyond it: the request is refused with `UNAVAILABLE`, as if the store were away.
"""

BODY_SECONDS: Final = 10.0
"""How long a body may take to arrive; the largest ones need 0.5 MB/s.

Beyond it: the request is refused with `REQUEST_TIMEOUT`.
"""

HURRIED_BODY_SECONDS: Final = 0.25
"""How long a body may take to arrive while its account has the most on their way that it may.

Beyond it: the request is refused with `RESOURCE_EXHAUSTED`.
"""

KEEP_ALIVE_SECONDS: Final = 75
"""How long an idle connection is kept.

Beyond it: it is closed.

Longer than usual load balancers do, so that they close first.
"""

CONNECTIONS_PER_REQUEST: Final = 4
"""Connections for each request that a server takes at a time; idle ones are kept open for their next request.

Beyond it: a new connection is closed.
"""

MAX_OPERATIONS_REQUESTS: Final = 16
"""Requests in work in the server of a processor, which answers health and metrics alone.

Beyond it: nothing is refused, as probes are always answered; `CONNECTIONS_PER_REQUEST` bounds its connections.
"""

RETRY_AFTER_SECONDS: Final = 1
"""After which who was refused for want of room, or while something is away, may try again: the `Retry-After` header.

Beyond it: the same call may succeed.
"""

# Ingest

MAX_INGEST_BODY_BYTES: Final = 1024 * 1024
"""The body of an ingest call.

Beyond it: the request is refused with `TOO_LARGE`.
"""

MAX_INGEST_RECORD_BYTES: Final = 128 * 1024
"""A record's JSON text in an ingest call.

Beyond it: the record is refused with `RECORD_TOO_LARGE`.

In Avro it is rarely longer, but short floats take 9 bytes and `{}` one for each member.
"""

MAX_INGEST_REQUESTS: Final = 1_000
"""Ingest calls of one server that wait for their records' results.

Beyond it: the request is refused with `RESOURCE_EXHAUSTED`.
"""

MAX_INGEST_ARRIVING: Final = MAX_INGEST_REQUESTS // 4
"""Bodies of one account's ingest calls that may take their time.

Beyond it: one more must arrive in `HURRIED_BODY_SECONDS`.
"""

MAX_INGEST_CONCURRENCY: Final = 2 * MAX_INGEST_REQUESTS
"""Requests of all kinds in work in one ingest server.

Beyond it: the request is refused with `RESOURCE_EXHAUSTED`.

Above the limit of waiting calls, so that an API's own answer is what callers see.
"""

MAX_QUEUED_RECORDS: Final = 20_000
"""Records of one ingest server that wait for Kafka.

Beyond it: the request is refused as a whole, with `RESOURCE_EXHAUSTED`.

Less than the producer's own bound.
"""

# Schema registry

MAX_REGISTRY_BODY_BYTES: Final = 2 * 1024 * 1024
"""The body of a call of the schema registry.

Beyond it: the request is refused with `TOO_LARGE`.
"""

MAX_REGISTRY_CALLS: Final = 8
"""Calls of the registry in work at a time: each may wait for Kafka, and more would only wait longer.

Beyond it: the call waits for one of them.
"""

MAX_REGISTRY_ARRIVING: Final = 64
"""Bodies of one account's calls of the registry that may take their time.

Beyond it: one more must arrive in `HURRIED_BODY_SECONDS`.
"""

MAX_SCHEMA_BYTES: Final = 512 * 1024
"""A schema's text, in UTF-8.

Beyond it: the schema is refused with `INVALID_ARGUMENT`.

Twice that, should JSON escape much of it, still fits a message of Kafka.
"""

MAX_SCHEMA_DEPTH: Final = 100
"""Levels of nesting of JSON objects and arrays in a schema.

Beyond it: the schema is refused with `INVALID_ARGUMENT`.

Fixed, so that no process takes what another one's stack cannot hold.
"""

MAX_SUBJECT_CHARACTERS: Final = 512
"""The name of a subject.

Beyond it: the request is refused with `INVALID_ARGUMENT`.
"""

# Reads

MAX_READ_BODY_BYTES: Final = 5 * 1024 * 1024
"""The body of a read.

Beyond it: the request is refused with `TOO_LARGE`.

A request context may have 4 MB; the rest of a body is small.
"""

MAX_DECODED_BYTES: Final = 64 * 1024
"""A read without its request context: what is turned into objects, in at most 8 ms.

Beyond it: the request is refused with `INVALID_ARGUMENT`.
"""

MAX_READS: Final = 128
"""Reads of one server that are in work.

Beyond it: the request is refused with `RESOURCE_EXHAUSTED`.
"""

MAX_READS_ARRIVING: Final = MAX_READS // 2
"""Bodies of one account's reads that may take their time: a quarter of what the server takes.

Beyond it: one more must arrive in `HURRIED_BODY_SECONDS`.
"""

MAX_READ_CONCURRENCY: Final = 2 * MAX_READS
"""Requests of all kinds in work in one serving server.

Beyond it: the request is refused with `RESOURCE_EXHAUSTED`.

Above the limit of reads, so that an API's own answer is what callers see.
"""
