"""The threads that read and write Kafka, and the workers between them."""

from typing import Final

from tests.mutations.mutation import Mutation

MUTATIONS: Final = (
    Mutation(
        name="delivered-batch-never-forgotten",
        file="processors/producer/sender.py",
        old="            del self._unconfirmed[number]\n",
        new="",
        why="readiness would tell of a delivery that is long done, and memory would grow with each batch",
        tests=("tests/processors/producer/test_sender.py::test_done_is_called_once_all_is_in_kafka",),
    ),
    Mutation(
        name="outage-that-is-over-is-probed-for-ever",
        file="infra/kafka/consumer_thread.py",
        old="self.last_error = self.failure = None",
        new="self.failure = None",
        why="each round would ask Kafka whether it is back",
        tests=(
            "tests/infra/kafka/test_consumer_thread.py::test_an_outage_is_told_until_the_probe_says_that_it_is_over",
        ),
    ),
    Mutation(
        name="writer-schemas-of-the-plan-before",
        file="processors/transform/worker.py",
        old="if work.executable is not executable:",
        new="if work.executable is None:",
        why="records after a change of plan within a batch would be read by the schema before",
        tests=(
            "tests/processors/transform/test_way_of_a_batch.py::test_schemas_are_looked_up_anew_under_a_plan_that_comes_within_a_batch",
        ),
    ),
    Mutation(
        name="nothing-committed-as-a-partition-goes",
        file="processors/consumer/intake.py",
        old="        self._commit(asynchronous=True)\n        gone = ",
        new="        gone = ",
        why="the next owner would repeat up to a second of work",
        tests=(
            "tests/processors/consumer/test_intake.py::test_what_is_done_is_committed_before_a_partition_is_let_go",
        ),
    ),
    Mutation(
        name="removed-folder-unnoticed-by-the-worker",
        file="processors/materialize/worker.py",
        old="        self._check_in_place()\n        # 2. Decode.",
        new="        # 2. Decode.",
        why="rows would be written to files that nobody finds again",
        tests=(
            "tests/processors/materialize/test_way_of_a_batch.py::test_a_partition_whose_folder_was_removed_takes_nothing_more",
        ),
    ),
    Mutation(
        name="lines-left-out-uncounted",
        file="headrace/terminal/screen.py",
        old="self._left_out += 1  # the oldest",
        new="pass  # the oldest",
        why="lines would be missing from the screen without a word",
        tests=(
            "tests/headrace/terminal/test_screen.py::test_a_part_that_floods_its_pipe_is_not_slowed_down_and_what_is_left_out_is_counted",
        ),
    ),
)
