"""What every database holds beside the callers' keys, and how it is opened: alike by writer and reader.

Invariant: every open of a database, by whichever process, uses ``database_options`` (raw mode): rocksdict 0.3.29 writes
the options of the last open into the folder, and one that differs makes the database unreadable for the others.

Keys of the database itself, format version ``schemas.keys.FORMAT_VERSION``; numbers are u64, big-endian::

    D format            the format version of the whole database
    D epoch             how often it was opened for writing, over all folders it ever had
    D version           how many batches were written to it, likewise; written with every batch
    D batch, slot u16   the version of the last batch with version % BATCH_SLOTS = slot; written with every batch

Why ``batch``: a catch-up of a secondary reads the manifest, then the write-ahead logs. If a flush ends in between, the
log that it covered may be gone before it is read, while newer logs are read: the newest version is there and batches
before it are missing (measured: 65 of 26,751 catch-ups with memtables of 16 and 64 KiB). The slots show such a hole,
and a second catch-up, which starts from a later manifest, fills it.
"""

import struct
from dataclasses import dataclass

from rocksdict import BlockBasedOptions, Cache, DBCompressionType, Options, WriteBufferManager

from schemas.state_reader import RESERVED_PREFIX

FORMAT_KEY = RESERVED_PREFIX + b"format"
EPOCH_KEY = RESERVED_PREFIX + b"epoch"
VERSION_KEY = RESERVED_PREFIX + b"version"
BATCH_SLOTS = 1024
_BATCH_KEYS = [RESERVED_PREFIX + b"batch" + struct.pack(">H", slot) for slot in range(BATCH_SLOTS)]
_U64 = struct.Struct(">Q")

BLOCK_CACHE_BYTES = 64 << 20
WRITE_BUFFER_BYTES = 128 << 20
MEMTABLE_BYTES = 32 << 20
BLOOM_BITS_PER_KEY = 10
_INFO_LOG_BYTES = 4 << 20
_INFO_LOG_FILES = 2
_BLOCK_BYTES = 16 << 10


@dataclass(frozen=True, slots=True)
class DatabaseResources:
    """Memory that all databases of a process share; make one per process and hand it to every open.

    ``block_cache``: uncompressed blocks, indexes and filters. ``write_buffers``: bounds the memtables of all writers
    together (a writer flushes when the sum passes it). ``memtable_bytes``: a memtable this large is flushed; a
    secondary holds a copy of its writer's memtables, which no manager bounds, so this also bounds serving.
    """

    block_cache: Cache
    write_buffers: WriteBufferManager
    memtable_bytes: int

    @classmethod
    def of_sizes(
        cls,
        *,
        block_cache_bytes: int = BLOCK_CACHE_BYTES,
        write_buffer_bytes: int = WRITE_BUFFER_BYTES,
        memtable_bytes: int = MEMTABLE_BYTES,
    ) -> "DatabaseResources":
        """Returns resources of the given sizes in bytes."""
        return cls(Cache(block_cache_bytes), WriteBufferManager(write_buffer_bytes, allow_stall=False), memtable_bytes)


def database_options(resources: DatabaseResources) -> Options:
    """Returns the options of every open."""
    table = BlockBasedOptions()
    table.set_block_cache(resources.block_cache)
    table.set_block_size(_BLOCK_BYTES)
    table.set_bloom_filter(BLOOM_BITS_PER_KEY, block_based=False)
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    options = Options(raw_mode=True)
    options.create_if_missing(True)  # noqa: FBT003 - the library's setters take nothing else
    options.set_block_based_table_factory(table)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_manager(resources.write_buffers)
    options.set_write_buffer_size(resources.memtable_bytes)
    # A secondary keeps reading files that the writer has deleted, as long as it has all of them open.
    options.set_max_open_files(-1)
    options.set_max_log_file_size(_INFO_LOG_BYTES)
    options.set_keep_log_file_num(_INFO_LOG_FILES)
    return options


def batch_key(version: int) -> bytes:
    """Returns the key under which the batch with this version marks that it was written."""
    return _BATCH_KEYS[version % BATCH_SLOTS]


def encode_number(number: int) -> bytes:
    """Returns the value of one of the keys above."""
    return _U64.pack(number)


def decode_number(value: bytes | None) -> int:
    """Returns the number in the value of one of the keys above; 0 if the key is absent."""
    return 0 if value is None else int(_U64.unpack(value)[0])
