"""Segments: their bytes, their holes, and how they roll."""

from typing import Final

from tests.mutations.mutation import Mutation

MUTATIONS: Final = (
    Mutation(
        name="segments-roll-without-sync",
        file="infra/segments/log.py",
        old="self._disk.sync(current.path)",
        new="pass",
        why="a power failure after a roll would leave a hole",
        tests=(
            "tests/infra/segments/test_log.py::TestPowerFailures::test_segment_is_on_disk_before_the_next_one_is_begun",
        ),
    ),
    Mutation(
        name="segments-roll-not-by-schema",
        file="infra/segments/log.py",
        old="current is None or current.schema != schema or current.size",
        new="current is None or current.size",
        why="objects would be read by another schema than they were written with",
        tests=(
            "tests/infra/segments/test_log.py::TestWriting::test_segments_roll_by_size_and_by_schema_and_are_named_by_their_first_offset",
        ),
    ),
    Mutation(
        name="segments-hole-not-looked-for",
        file="infra/segments/log.py",
        old=("                self._look_for_hole(offsets, segment)\n"),
        new="",
        why="a hole would never be filled from Kafka",
        tests=("tests/infra/segments/test_log.py::TestHoles::test_opening_stands_where_it_begins_and_drops_nothing",),
    ),
    Mutation(
        name="segments-hole-read-over",
        file="infra/segments/log.py",
        old="if reached is not None and header.after != reached:",
        new="if reached is not None and header.after < reached:",
        why="rebuilds and training sets would miss rows in silence",
        tests=("tests/infra/segments/test_log.py::TestHoles::test_readers_report_it_and_read_up_to_it",),
    ),
    Mutation(
        name="segments-behind-a-hole-dropped-unfilled",
        file="infra/segments/log.py",
        old=("        if first_offset >= hole.end:\n"),
        new=("        if first_offset > hole.end:\n"),
        why="LOST comparison: what is behind a hole would be dropped although Kafka cannot fill it",
        tests=(
            "tests/infra/segments/test_log.py::TestHoles::test_what_kafka_no_longer_holds_is_told_and_drops_nothing",
        ),
    ),
    Mutation(
        name="segments-hole-fill-not-synced",
        file="infra/segments/log.py",
        old="            self._disk.sync(hole.before.path)  # else",
        new="            pass  # else",
        why="what was dropped could come back at the next power failure",
        tests=(
            "tests/infra/segments/test_log.py::TestHoles::test_where_it_begins_is_on_disk_once_what_was_behind_is_dropped",
        ),
    ),
    Mutation(
        name="segments-damage-cut-as-a-torn-tail",
        file="infra/segments/log.py",
        old="        return not any(self._has_block(end, sync) for end in ends)",
        new="        return bool(ends)",
        why="a flipped bit would cut all whole blocks behind it",
        tests=(
            "tests/infra/segments/test_log.py::TestDamage::test_flipped_bit_before_the_last_block_is_an_error_and_cuts_nothing",
        ),
    ),
    Mutation(
        name="segments-damage-in-an-older-file-skipped",
        file="infra/segments/log.py",
        old="if first_offset != offsets[-1] or not segment.torn_from(damage):",
        new="if not segment.torn_from(damage):",
        why="a torn older file would be read as if it ended there",
        tests=("tests/infra/segments/test_log.py::TestDamage::test_torn_segment_before_the_newest_is_an_error",),
    ),
    Mutation(
        name="segments-count-not-checked",
        file="infra/segments/log.py",
        old=("                _check_count(*newest[-1][:2])\n"),
        new=("                pass\n"),
        why="a block whose count is altered would lose updates in silence",
        tests=("tests/infra/segments/test_log.py::TestTornTails::test_any_flipped_bit_in_the_last_block_is_noticed",),
    ),
    Mutation(
        name="segments-overlap-taken",
        file="infra/segments/log.py",
        old="if not max(0, self._next_offset or 0) <= first_offset < next_offset:",
        new="if not 0 <= first_offset < next_offset:",
        why="offsets would be in the log twice",
        tests=("tests/infra/segments/test_log.py::TestWriting::test_what_the_log_has_is_refused",),
    ),
    Mutation(
        name="segments-end-offset-read-past",
        file="infra/segments/log.py",
        old=("                if reached == end_offset:\n                    return\n"),
        new="",
        why="a rebuild would read past where the log stands",
        tests=("tests/infra/segments/test_log.py::TestHoles::test_readers_report_it_and_read_up_to_it",),
    ),
    Mutation(
        name="segments-block-without-checksum",
        file="infra/segments/format.py",
        old='if crc32(payload) != int.from_bytes(body[size - _CRC_BYTES : size], "big"):',
        new="if not payload:",
        why="altered rows would be rebuilt into state",
        tests=("tests/infra/segments/test_log.py::TestTornTails::test_any_flipped_bit_in_the_last_block_is_noticed",),
    ),
    Mutation(
        name="segments-header-without-checksum",
        file="infra/segments/format.py",
        old='altered = entries.get(b"headrace.crc32") != _header_check(text, stand)',
        new='altered = b"headrace.crc32" not in entries',
        why="an altered schema would decode rows into other values",
        tests=(
            "tests/infra/segments/test_log.py::TestDamage::test_flipped_bit_in_the_header_is_an_error_and_cuts_nothing",
        ),
    ),
    Mutation(
        name="segments-header-stand-not-covered",
        file="infra/segments/format.py",
        old='return b"%08x" % crc32(after, crc32(schema))',
        new='return b"%08x" % crc32(schema)',
        why="an altered header would hide a hole, or make one up",
        tests=(
            "tests/infra/segments/test_log.py::TestDamage::test_flipped_bit_in_the_header_is_an_error_and_cuts_nothing",
        ),
    ),
    Mutation(
        name="disk-half-append-stays",
        file="infra/segments/disk.py",
        old=("            self._cut(path, handle, status.st_size)\n"),
        new="",
        why="a full disk would leave half a block that later ones stand behind",
        tests=("tests/infra/segments/test_disk.py::test_append_that_fails_half_way_leaves_nothing_behind",),
    ),
    Mutation(
        name="disk-sync-leaves-folders-out",
        file="infra/segments/disk.py",
        old="(target, *target.parents[: len(Path(path).parts)])",
        new="(target,)",
        why="a file that was synced could be missing after a power failure",
        tests=("tests/infra/segments/test_disk.py::test_sync_covers_a_file_and_the_folders_that_lead_to_it",),
    ),
)
