"""Keys and values of online state, and the partition of a key."""

from typing import Final

from tests.mutations.mutation import Mutation

MUTATIONS: Final = (
    Mutation(
        name="keys-nul-not-escaped",
        file="schemas/state/keys.py",
        old='.replace(b"\\x00", b"\\x00\\xff")',
        new="",
        why="a key with a NUL in it could be the prefix of another one, and share its values",
        tests=("tests/schemas/state/test_keys.py::test_bytes_are_as_documented",),
    ),
    Mutation(
        name="keys-null-is-empty-text",
        file="schemas/state/keys.py",
        old=("            parts.append(_NULL)\n"),
        new=('            parts.append(_STRING + b"\\x00\\x00")\n'),
        why="a null key would be served the empty one's values",
        tests=("tests/schemas/state/test_keys.py::test_encoded_keys_are_prefix_free_and_sort_as_their_values",),
    ),
    Mutation(
        name="keys-times-before-1970-after-others",
        file="schemas/state/keys.py",
        old="return _pack_u64(event_time + _SIGN)",
        new="return _pack_u64(event_time & (2 * _SIGN - 1))",
        why="windows over 1970 would miss rows",
        tests=("tests/schemas/state/test_keys.py::test_times_sort_as_numbers_and_come_back",),
    ),
    Mutation(
        name="keys-limit-lost-comparison",
        file="schemas/state/keys.py",
        old="if len(key) > MAX_JOIN_KEY_BYTES:",
        new="if len(key) >= MAX_JOIN_KEY_BYTES:",
        why="LOST comparison: keys of exactly the limit, stored before, could not be read any more",
        tests=(
            "tests/schemas/state/test_keys.py::test_join_keys_have_a_limit_in_bytes_and_what_is_longer_is_told_with_its_longest_value",
        ),
    ),
    Mutation(
        name="keys-partition-of-another-hash",
        file="schemas/state/keys.py",
        old="(murmur2(key) & 0x7FFFFFFF) % partitions",
        new="murmur2(key) % partitions",
        why="keys would lie in other partitions than Kafka's own clients put them",
        tests=("tests/schemas/state/test_keys.py::test_partition_is_that_of_kafkas_default_partitioner",),
    ),
    Mutation(
        name="keys-long-ones-remembered",
        file="schemas/state/keys.py",
        old="if len(key) <= _MAX_CACHED_KEY_BYTES else",
        new="if key else",
        why="any reader could fill the memory of serving",
        tests=(
            "tests/schemas/state/test_keys.py::test_long_keys_are_not_remembered_so_that_the_cache_has_a_bound_in_bytes",
        ),
    ),
    Mutation(
        name="keys-view-ranges-miss-the-tiles",
        file="schemas/state/keys.py",
        old='(tile_prefix(view, b""), tile_prefix(view + 1, b"")))',
        new='(tile_prefix(view, b""), tile_prefix(view, b"")))',
        why="tiles of a dropped view would be served as another one's",
        tests=(
            "tests/processors/materialize/test_view_digests.py::test_what_another_view_left_under_an_id_goes_and_the_neighbours_stays",
        ),
    ),
    Mutation(
        name="versions-do-not-sort",
        file="schemas/state/values.py",
        old='struct.Struct(">QIQI")',
        new='struct.Struct("<QIQI")',
        why="of two corrections the older one could win",
        tests=("tests/schemas/state/test_values.py::test_versions_sort_as_their_parts",),
    ),
    Mutation(
        name="versions-by-offset-first",
        file="schemas/state/values.py",
        old="_VERSION.pack(append_time, partition, offset, index)",
        new="_VERSION.pack(offset, partition, append_time, index)",
        why="of two partitions the busier one would win, whenever the rows came",
        tests=(
            "tests/processors/materialize/test_fold.py::test_version_orders_by_append_time_then_partition_then_offset",
        ),
    ),
    Mutation(
        name="keys-identity-limit",
        file="schemas/state/keys.py",
        old="if len(identity) > MAX_IDENTITY_BYTES:",
        new="if len(identity) >= MAX_IDENTITY_BYTES:",
        why="events whose identity has exactly the limit would be refused",
        tests=(
            "tests/schemas/state/test_keys.py::test_an_identity_has_a_limit_in_bytes_and_what_is_longer_is_told_with_its_longest_value",
        ),
    ),
    Mutation(
        name="keys-identity-cut-short",
        file="schemas/state/keys.py",
        old="return key[: -1 - key[-1]]",
        new="return key[: -key[-1]]",
        why="retention and reads would take a part of the identity for the event time",
        tests=("tests/schemas/state/test_keys.py::test_events_sort_by_time_then_identity_and_their_time_comes_back",),
    ),
)
