"""The materialize step: logs, state and answers, and what is dropped or built anew."""

from typing import Final

from tests.mutations.mutation import Mutation

MUTATIONS: Final = (
    Mutation(
        name="step-state-before-log",
        file="processors/materialize/step.py",
        old=(
            "        # 1. The offline log.\n"
            "        try:\n"
            "            self._log.append(self._views, messages, next_offset)\n"
            "        except StorageError as error:\n"
            "            raise self._failed(messages, OFFLINE, error) from error\n"
            "        # 2. Online state.\n"
            "        try:\n"
            "            self._write(fold)\n"
            "        except StorageError as error:\n"
            "            raise self._failed(messages, ONLINE, error) from error\n"
        ),
        new=(
            "        try:\n"
            "            self._write(fold)\n"
            "        except StorageError as error:\n"
            "            raise self._failed(messages, ONLINE, error) from error\n"
            "        try:\n"
            "            self._log.append(self._views, messages, next_offset)\n"
            "        except StorageError as error:\n"
            "            raise self._failed(messages, OFFLINE, error) from error\n"
        ),
        why="state would serve rows that a full disk kept out of the offline log",
        tests=(
            "tests/processors/materialize/test_step.py::test_a_log_that_cannot_be_written_is_told_and_leaves_both_stores_as_they_were",
        ),
    ),
    Mutation(
        name="step-failed-store-acked-as-written",
        file="processors/materialize/step.py",
        old="self._acks(messages, store, error.message, {})",
        new='self._acks(messages, "", "", {})',
        why="callers would be told that rows are stored which a full disk refused",
        tests=(
            "tests/processors/materialize/test_step.py::test_a_log_that_cannot_be_written_is_told_and_leaves_both_stores_as_they_were",
        ),
    ),
    Mutation(
        name="step-no-answers",
        file="processors/materialize/step.py",
        old="return ack_messages(self._workspace, acks)",
        new="return ack_messages(self._workspace, {})",
        why="every request would wait for its deadline",
        tests=("tests/simulation/test_simulation.py::test_quick_histories_keep_the_invariants",),
    ),
    Mutation(
        name="step-answers-for-other-installations",
        file="processors/materialize/step.py",
        old=("                if reply.installation != self._installation:\n                    continue\n"),
        new="",
        why="a caller would be told of rows that another installation's state holds",
        tests=("tests/processors/materialize/test_step.py::test_callers_of_another_installation_are_left_to_it",),
    ),
    Mutation(
        name="step-goes-on-at-the-higher-offset",
        file="processors/materialize/step.py",
        old="return min(stored, earliest if logged is None else logged)",
        new="return max(stored, earliest if logged is None else logged)",
        why="after a crash the store that is behind would never get what it misses",
        tests=(
            "tests/processors/materialize/test_step.py::test_a_log_that_was_taken_away_begins_anew_at_what_kafka_holds_and_never_behind_state",
        ),
    ),
    Mutation(
        name="step-first-message-skipped",
        file="processors/materialize/step.py",
        old="if message.offset >= reached and",
        new="if message.offset > reached and",
        why="the first update of each batch would be missing from online state",
        tests=("tests/processors/materialize/test_step.py::test_rows_are_counted_by_view_and_outcome",),
    ),
    Mutation(
        name="step-state-goes-back",
        file="processors/materialize/step.py",
        old="if next_offset <= reached:",
        new="if next_offset == reached:",
        why="state's offset would go back while the log catches up, and its rows be taken twice",
        tests=("tests/processors/materialize/test_step.py::test_state_that_is_ahead_of_the_log_never_goes_back",),
    ),
    Mutation(
        name="step-bad-message-charged-to-all",
        file="processors/materialize/step.py",
        old="if (problem := self._problem(message))]",
        new="if not (problem := self._problem(message))]",
        why="one undecodable row would take the good rows of its batch with it",
        tests=(
            "tests/processors/materialize/test_step.py::test_a_message_that_is_no_row_of_its_view_is_in_neither_store_and_stops_no_other",
        ),
    ),
    Mutation(
        name="retired-views-not-folded",
        file="schemas/definitions/plan.py",
        old="return {**self.views, **{key: retired.view for key, retired in self.retired.items()}}",
        new="return {**self.views}",
        why="a view that comes back within its grace would have a gap",
        tests=("tests/schemas/definitions/test_changes.py::test_a_removed_view_is_retired_with_all_that_it_runs_from",),
    ),
    Mutation(
        name="digests-former-view-kept",
        file="processors/materialize/view_digests.py",
        old="if known != digest]",
        new="if known is None]",
        why="rows of another view would be served under an id that Kafka gave out twice",
        tests=(
            "tests/processors/materialize/test_view_digests.py::test_what_another_view_left_under_an_id_goes_and_the_neighbours_stays",
        ),
    ),
    Mutation(
        name="digests-former-watermark-kept",
        file="processors/materialize/view_digests.py",
        old="[*forgotten, *names]",
        new="names",
        why="windows would end at the latest event of another view",
        tests=("tests/processors/materialize/test_view_digests.py::test_a_watermark_alone_goes_too",),
    ),
    Mutation(
        name="rebuild-last-batch-dropped",
        file="processors/materialize/rebuild.py",
        old=("    if batch:\n        yield batch\n"),
        new="",
        why="the newest rows of the log would be missing from a rebuilt state",
        tests=("tests/processors/materialize/test_rebuild.py::test_a_rebuild_gives_a_sign_of_life_after_each_batch",),
    ),
    Mutation(
        name="rebuild-from-a-log-without-its-beginning",
        file="processors/materialize/rebuild.py",
        old=("    if begins:\n"),
        new=("    if begins == -1:\n"),
        why="state would be built without its oldest rows, and nobody told",
        tests=(
            "tests/processors/materialize/test_rebuild.py::test_a_log_that_does_not_begin_at_the_beginning_is_no_base_for_a_rebuild",
        ),
    ),
    Mutation(
        name="rebuild-reads-past-a-hole",
        file="processors/materialize/rebuild.py",
        old=", end_offset=step.logged)",
        new=")",
        why="a hole in the log would keep the partition down although Kafka holds what is missing",
        tests=(
            "tests/processors/materialize/test_rebuild.py::test_a_hole_in_the_log_ends_a_rebuild_and_is_filled_from_kafka",
        ),
    ),
    Mutation(
        name="rebuild-offset-one-short",
        file="processors/materialize/rebuild.py",
        old="step.write(batch, batch[-1].offset + 1)",
        new="step.write(batch, batch[-1].offset)",
        why="the last update of each batch would be asked of Kafka again, or be missed",
        tests=("tests/processors/materialize/test_rebuild.py::test_a_rebuild_that_was_cut_short_goes_on_where_it_was",),
    ),
)
