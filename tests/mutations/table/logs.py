"""Offline log and source log."""

from typing import Final

from tests.mutations.mutation import Mutation

MUTATIONS: Final = (
    Mutation(
        name="offline-log-takes-messages-twice",
        file="processors/logs/offline_log.py",
        old="[message for message in messages if message.offset >= reached]",
        new="list(messages)",
        why="the offline log would refuse the batch that a crash cut short, for ever",
        tests=(
            "tests/processors/logs/test_offline_log.py::test_messages_that_the_log_has_are_skipped_also_after_it_was_opened_again",
        ),
    ),
    Mutation(
        name="offline-log-values-of-another-row",
        file="processors/logs/offline_log.py",
        old="values = zip(*[row.values for row in rows], strict=True)",
        new="values = zip(*[rows[0].values for row in rows], strict=True)",
        why="the offline log, and each rebuild from it, would hold other values than were served",
        tests=("tests/simulation/test_simulation.py::test_quick_histories_keep_the_invariants",),
    ),
    Mutation(
        name="offline-log-zero-is-null",
        file="processors/logs/columns.py",
        old="[_NULL if value is None else _PRESENT",
        new="[_NULL if not value else _PRESENT",
        why="zeros would be nulls in training sets",
        tests=("tests/processors/logs/test_columns.py::test_another_avro_reader_reads_what_was_written",),
    ),
    Mutation(
        name="offline-log-long-lost-comparison",
        file="schemas/avro/binary.py",
        old=("    while rest > _MASK:\n"),
        new=("    while rest >= _MASK:\n"),
        why="LOST comparison: some numbers would not be written as Avro has them",
        tests=("tests/schemas/avro/test_binary.py::test_a_long_at_the_end_of_each_number_of_bytes_is_what_avro_says",),
    ),
    Mutation(
        name="offline-log-versions-lost",
        file="processors/logs/offline_log.py",
        old="encode_longs([row.offset for row in rows]),",
        new="encode_longs([0 for row in rows]),",
        why="a rebuild would let other rows win",
        tests=("tests/processors/logs/test_offline_log.py::test_updates_come_back_as_they_went_in",),
    ),
    Mutation(
        name="source-log-takes-records-twice",
        file="processors/logs/source_log.py",
        old="for record in records if record.offset >= reached]",
        new="for record in records]",
        why="a crash would leave the source log refusing its batch for ever",
        tests=(
            "tests/processors/logs/test_source_log.py::test_records_that_the_log_has_are_skipped_also_after_it_was_opened_again",
        ),
    ),
    Mutation(
        name="source-log-body-of-another-record",
        file="processors/logs/source_log.py",
        old="record.value[PREFIX_BYTES:])",
        new="fresh[0][1].value[PREFIX_BYTES:])",
        why="a backfill would see other events than were sent",
        tests=("tests/simulation/test_simulation.py::test_quick_histories_keep_the_invariants",),
    ),
    Mutation(
        name="source-log-keeps-the-undecodable",
        file="processors/transform/step.py",
        old="if record.offset not in undecoded]",
        new="]",
        why="garbage of one producer would end the partition, for ever",
        tests=(
            "tests/processors/transform/test_step.py::test_a_record_that_does_not_decode_is_a_dead_letter_and_not_in_the_source_log",
        ),
    ),
    Mutation(
        name="transform-goes-on-at-the-groups-offset",
        file="processors/transform/step.py",
        old="return None if reached is None else min(group_offset, reached)",
        new="return group_offset",
        why="records that a power failure tore off the source log would never come back",
        tests=("tests/processors/transform/test_step.py::test_reading_goes_on_at_the_lower_of_group_and_source_log",),
    ),
)
