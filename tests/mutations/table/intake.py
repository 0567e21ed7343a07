"""Offsets, lag and what is committed."""

from typing import Final

from tests.mutations.mutation import Mutation

MUTATIONS: Final = (
    Mutation(
        name="offsets-truncated-topic-taken",
        file="processors/consumer/offsets.py",
        old=("    if start > latest:\n"),
        new=("    if start > latest + 1_000_000:\n"),
        why="a topic that was made anew would be waited for, for ever",
        tests=("tests/processors/consumer/test_offsets.py::test_an_offset_behind_the_end_names_both_and_what_to_do",),
    ),
    Mutation(
        name="offsets-end-refused",
        file="processors/consumer/offsets.py",
        old=("    if start > latest:\n"),
        new=("    if start >= latest:\n"),
        why="LOST comparison: a partition that has read everything could not start",
        tests=("tests/processors/consumer/test_offsets.py::test_an_offset_that_kafka_holds_is_kept",),
    ),
    Mutation(
        name="offsets-expired-updates-passed-over",
        file="processors/consumer/offsets.py",
        old=("    if start < earliest and reset_to_earliest:\n"),
        new=("    if start < earliest:\n"),
        why="rows that Kafka dropped would be missing from state, in silence",
        tests=("tests/processors/consumer/test_offsets.py::test_updates_that_expired_unprocessed_ask_for_a_restore",),
    ),
    Mutation(
        name="offsets-first-record-refused",
        file="processors/consumer/offsets.py",
        old=("    if start < earliest and reset_to_earliest:\n        return None\n    if start < earliest:\n"),
        new=("    if start < earliest and reset_to_earliest:\n        return None\n    if start <= earliest:\n"),
        why="LOST comparison: the earliest record that Kafka holds could not be read",
        tests=("tests/processors/consumer/test_offsets.py::test_an_offset_that_kafka_holds_is_kept",),
    ),
    Mutation(
        name="offsets-new-partition-begins-late",
        file="processors/consumer/offsets.py",
        old="if earliest > 0 and not reset_to_earliest:",
        new="if earliest > 1 and not reset_to_earliest:",
        why="LOST comparison: state would be built without the first update, in silence",
        tests=("tests/processors/consumer/test_offsets.py::test_updates_that_expired_unprocessed_ask_for_a_restore",),
    ),
    Mutation(
        name="lag-counts-markers",
        file="processors/consumer/assignment.py",
        old="return 0 if self._emptied.get(where) == position else max(0,",
        new="return max(0,",
        why="an open transaction would make a partition look stuck, and its process end again and again",
        tests=(
            "tests/processors/consumer/test_assignment.py::test_an_open_transaction_is_no_lag_until_more_can_be_read",
        ),
    ),
    Mutation(
        name="lag-counts-from-the-last-record",
        file="processors/consumer/assignment.py",
        old="position = max(self._passed.get(where, 0), self._received.get(where, 0))",
        new="position = self._received.get(where, 0)",
        why="the marker of a transaction would be lag for ever, and the watchdog end the process",
        tests=("tests/processors/consumer/test_assignment.py::test_what_no_consumer_sees_is_no_lag",),
    ),
    Mutation(
        name="lag-forgets-what-waits-here",
        file="processors/consumer/assignment.py",
        old="max(0, self._received.get(where, 0) - owner.next_offset) + self._unread(where)",
        new="self._unread(where)",
        why="a partition that is stuck would look done",
        tests=("tests/processors/consumer/test_assignment.py::test_what_no_consumer_sees_is_no_lag",),
    ),
    Mutation(
        name="commit-past-what-is-done",
        file="processors/consumer/assignment.py",
        old="if passed > self._received[where] == (self._taken[where] if done is None else done):",
        new="if passed > self._received[where]:",
        why="a crash would lose what was received and not yet done",
        tests=(
            "tests/processors/consumer/test_assignment.py::test_a_group_passes_markers_once_all_before_them_is_done",
        ),
    ),
    Mutation(
        name="messages-taken-twice",
        file="processors/consumer/assignment.py",
        old="if first < self._received[where]:",
        new="if first < 0:",
        why="records of a topic that was made anew would be taken for new ones",
        tests=("tests/processors/consumer/test_assignment.py::test_messages_pass_in_order_and_never_twice",),
    ),
    Mutation(
        name="owner-closed-before-it-is-fenced",
        file="processors/consumer/assignment.py",
        old=("                owner.is_owned = False\n"),
        new=("                owner.is_owned = True\n"),
        why="a step could write to files that the next owner has",
        tests=("tests/processors/consumer/test_assignment.py::test_a_released_owner_is_fenced_before_it_is_closed",),
    ),
    Mutation(
        name="failed-commit-forgotten",
        file="processors/consumer/assignment.py",
        old=("            self._committed.pop(where, None)\n"),
        new=("            self._committed.get(where)\n"),
        why="the group would look behind until the next record",
        tests=(
            "tests/processors/consumer/test_assignment.py::test_offsets_are_committed_once_each_and_again_if_that_failed",
        ),
    ),
    Mutation(
        name="stamp-of-a-producer-decides",
        file="processors/transform/decode.py",
        old="stamp if kind == TIMESTAMP_LOG_APPEND_TIME else UNSTAMPED",
        new="stamp",
        why="a producer with a clock ahead could never be corrected",
        tests=("tests/processors/transform/test_decode.py::test_a_time_that_kafka_did_not_give_decides_nothing",),
    ),
    Mutation(
        name="reply-of-another-installation-taken",
        file="processors/transform/decode.py",
        old="return reply if is_here and reply.installation == installation else None",
        new="return reply if is_here else None",
        why="callers would be told of another installation's state",
        tests=(
            "tests/processors/transform/test_decode.py::test_nobody_waits_here_for_the_state_of_another_installation",
        ),
    ),
    Mutation(
        name="in-flight-mark-cleared-by-an-exception",
        file="processors/execution/in_flight.py",
        old=("        yield\n        self._cells[1] = 0"),
        new=("        try:\n            yield\n        finally:\n            self._cells[1] = 0"),
        why="a record that ends the process would never be found",
        tests=(
            "tests/processors/execution/test_in_flight.py::test_what_ends_the_process_with_an_exception_is_suspect_too",
        ),
    ),
    Mutation(
        name="in-flight-batch-condemned",
        file="processors/execution/in_flight.py",
        old="if len(self._suspects) == 1:",
        new="if self._suspects:",
        why="the first record of a batch would be isolated for its neighbour's fault",
        tests=(
            "tests/processors/execution/test_in_flight.py::test_a_batch_in_flight_at_a_death_is_suspect_record_by_record",
        ),
    ),
)
