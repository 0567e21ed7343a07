"""What every database holds beside the callers' keys, and how it is opened: alike by writer and reader.

Invariant: every open of a database, by whichever process, uses ``database_options`` (raw mode): rocksdict 0.3.29 writes
the options of the last open into the folder, and one that differs makes the database unreadable for the others.

Keys of the database itself, format version ``schemas.state.keys.FORMAT_VERSION``; numbers are u64, big-endian::

    D format               the format version of the whole database
    D epoch                drawn anew at each opening for writing (``new_epoch``)
    D version              version, generation
    D generation, slot u8  generation, last version before it, last version in it; slot = generation % 64

The *version* counts the batches written, over all epochs; it begins anew where folder and version file are both gone.
An *epoch* is never used twice, whatever was removed: equal epochs mean the same folder, opened once. A *generation* is
one memtable of the writer, and one write-ahead log: they are counted from 1, in each folder anew. Every batch writes
``version`` and its ``generation``.

What the generations are for: a secondary that catches up reads the manifest, then the logs. If a flush ends in between,
the log it covered may be gone before it is read, while newer logs are read. If a compaction ends in between, the files
that the manifest named may be gone, and the memtables they replace are dropped all the same. Either way the newest
version is there and batches before it are missing, for a while. A hole always takes the end of a generation with it, so
``Generation.follows`` finds it, however many batches a generation has.
"""

import struct
from dataclasses import dataclass
from typing import Final, Self

from rocksdict import BlockBasedOptions, Cache, DBCompressionType, Options, WriteBufferManager

from schemas.state.reader import RESERVED_PREFIX

FORMAT_KEY: Final = RESERVED_PREFIX + b"format"
EPOCH_KEY: Final = RESERVED_PREFIX + b"epoch"
VERSION_KEY: Final = RESERVED_PREFIX + b"version"
GENERATION_SLOTS: Final = 64
EPOCH_RANDOM_BITS: Final = 20  # with the milliseconds, 61 bits of 64
_GENERATION_KEYS: Final = [RESERVED_PREFIX + b"generation" + bytes([slot]) for slot in range(GENERATION_SLOTS)]
_NUMBER: Final = struct.Struct(">Q")
_VERSION: Final = struct.Struct(">QQ")
_GENERATION: Final = struct.Struct(">QQQ")

BLOCK_CACHE_BYTES: Final = 64 << 20
WRITE_BUFFER_BYTES: Final = 128 << 20
MEMTABLE_BYTES: Final = 32 << 20
BLOOM_BITS_PER_KEY: Final = 10
_BLOCK_BYTES: Final = 16 << 10
_INFO_LOG_BYTES: Final = 4 << 20
_INFO_LOG_FILES: Final = 2
_UNLIMITED_BYTES: Final = 1 << 60


@dataclass(frozen=True, slots=True)
class DatabaseResources:
    """Memory that all databases of a process share; make one per process and hand it to every open.

    ``block_cache``: uncompressed blocks, indexes and filters. ``write_buffers``: counts the memtables of all databases;
    it never acts by itself, because only the writer may end a generation. ``write_buffer_bytes``: what they may take
    together. ``memtable_bytes``: a memtable this large is flushed in any case. A secondary holds a copy of its writer's
    memtables, so the latter also bounds the memory of readers.
    """

    block_cache: Cache
    write_buffers: WriteBufferManager
    write_buffer_bytes: int
    memtable_bytes: int

    @classmethod
    def of_sizes(
        cls,
        *,
        block_cache_bytes: int = BLOCK_CACHE_BYTES,
        write_buffer_bytes: int = WRITE_BUFFER_BYTES,
        memtable_bytes: int = MEMTABLE_BYTES,
    ) -> Self:
        """Returns resources of the given sizes in bytes."""
        manager = WriteBufferManager(_UNLIMITED_BYTES, allow_stall=False)
        return cls(Cache(block_cache_bytes), manager, write_buffer_bytes, memtable_bytes)


def database_options(resources: DatabaseResources) -> Options:
    """Returns the options of every open."""
    table = BlockBasedOptions()
    table.set_block_cache(resources.block_cache)
    table.set_block_size(_BLOCK_BYTES)
    table.set_bloom_filter(BLOOM_BITS_PER_KEY, block_based=False)
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    options = Options(raw_mode=True)
    options.create_if_missing(True)  # noqa: FBT003 - the setter takes nothing else
    options.set_block_based_table_factory(table)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_manager(resources.write_buffers)
    # Out of reach: the writer flushes before that, as it has to know when a generation ends.
    options.set_write_buffer_size(4 * resources.memtable_bytes)
    # A secondary keeps reading files that the writer has deleted, as long as it has all of them open.
    options.set_max_open_files(-1)
    # More of them, and RocksDB starts and ends them all in each catch-up of a secondary, also when no file is new:
    # 16 make it 8 to 17 times as slow. Opening a database is none the slower for having one: 20-80 ms for 200 files.
    options.set_max_file_opening_threads(1)
    options.set_max_log_file_size(_INFO_LOG_BYTES)
    options.set_keep_log_file_num(_INFO_LOG_FILES)
    return options


def new_epoch(known: int, now: int, random: int) -> int:
    """Returns an epoch that was never used before, and is greater than ``known``.

    If nothing is known of the epochs before, because everything was removed, the time keeps them apart; if the clock
    was set back too, chance does.

    Args:
        known: the greatest epoch that is remembered anywhere; 0 for none.
        now: ms since the Unix epoch.
        random: a number of ``EPOCH_RANDOM_BITS`` bits.
    """
    return max(known + 1, now << EPOCH_RANDOM_BITS | random)


@dataclass(frozen=True, slots=True)
class Generation:
    """The batches of one memtable: those after version ``before``, up to ``last``."""

    number: int
    before: int
    last: int

    def encode(self) -> bytes:
        """Returns the value under ``generation_key(number)``."""
        return _GENERATION.pack(self.number, self.before, self.last)

    @classmethod
    def decode(cls, value: bytes | None) -> "Generation | None":
        """Returns the generation in a value; None if there is none."""
        return None if value is None else cls(*_GENERATION.unpack(value))

    def follows(self, other: "Generation | None") -> bool:
        """Tells whether ``other`` is the generation before this one, and whole."""
        return other is not None and other.number == self.number - 1 and other.last == self.before


def generation_key(number: int) -> bytes:
    """Returns the key under which each batch of a generation is noted."""
    return _GENERATION_KEYS[number % GENERATION_SLOTS]


def encode_version(version: int, generation: int) -> bytes:
    """Returns the value of ``VERSION_KEY``."""
    return _VERSION.pack(version, generation)


def decode_version(value: bytes | None) -> tuple[int, int]:
    """Returns version and generation; zeros if nothing was written yet."""
    if value is None:
        return 0, 0
    version, generation = _VERSION.unpack(value)
    return version, generation


def encode_number(number: int) -> bytes:
    """Returns the value of ``FORMAT_KEY`` or ``EPOCH_KEY``."""
    return _NUMBER.pack(number)


def decode_number(value: bytes | None) -> int:
    """Returns the number in such a value; 0 if the key is absent."""
    return 0 if value is None else int(_NUMBER.unpack(value)[0])
