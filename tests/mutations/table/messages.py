"""What passes between the stages, and the answers on their way back."""

from typing import Final

from tests.mutations.mutation import Mutation

MUTATIONS: Final = (
    Mutation(
        name="updates-of-an-older-format-taken",
        file="schemas/messages/updates.py",
        old=("    if update.format != MESSAGE_FORMAT:\n        raise"),
        new=("    if update.format > MESSAGE_FORMAT:\n        raise"),
        why="rows of a format that meant something else would be stored",
        tests=("tests/schemas/messages/test_updates.py::test_what_no_later_version_wrote_is_garbage_and_stops_nobody",),
    ),
    Mutation(
        name="acks-of-another-format-taken",
        file="schemas/messages/updates.py",
        old="if version != ACKS_FORMAT:",
        new="if version > ACKS_FORMAT:",
        why="answers of a format that meant something else would be believed",
        tests=("tests/schemas/messages/test_updates.py::test_an_unknown_format_says_to_upgrade",),
    ),
    Mutation(
        name="reply-header-without-a-request",
        file="schemas/messages/updates.py",
        old="if len(data) <= request_at:",
        new="if len(data) < request_at:",
        why="LOST comparison: a made-up header would have an answer sent to nobody",
        tests=("tests/schemas/messages/test_updates.py::test_headers_of_a_wrong_length_are_refused",),
    ),
    Mutation(
        name="reply-place-is-the-topic-alone",
        file="schemas/messages/updates.py",
        old='crc32(f"{topic}[{partition}]".encode())',
        new="crc32(topic.encode())",
        why="a record that was copied to another partition would answer for its original",
        tests=(
            "tests/processors/transform/test_decode.py::test_a_header_that_was_copied_to_another_partition_or_topic_answers_nobody",
        ),
    ),
    Mutation(
        name="plan-header-of-any-length",
        file="schemas/messages/updates.py",
        old="    if len(data) != _U64.size:",
        new="    if len(data) < _U64.size:",
        why="a made-up header would end the processor",
        tests=("tests/schemas/messages/test_updates.py::test_headers_of_a_wrong_length_are_refused",),
    ),
    Mutation(
        name="acks-done-before-written",
        file="ingest_api/ingestion/pending.py",
        old="return self.expected <= self.written.keys()",
        new="return bool(self.written) or not self.expected",
        why="a record would be acked once its first row is stored",
        tests=(
            "tests/ingest_api/ingestion/test_pending.py::test_record_is_done_when_every_place_it_was_sent_to_has_answered",
        ),
    ),
    Mutation(
        name="acks-done-once-transformed",
        file="ingest_api/ingestion/pending.py",
        old="return self.expected <= self.written.keys()",
        new="return True",
        why="a record would be acked before anything of it is stored",
        tests=(
            "tests/ingest_api/ingestion/test_pending.py::test_record_is_done_when_every_place_it_was_sent_to_has_answered",
        ),
    ),
    Mutation(
        name="acks-second-answer-counts",
        file="ingest_api/ingestion/pending.py",
        old="record.written.setdefault((view, partition), news)",
        new="record.written[view, partition] = news",
        why="a repeat after a failure would change what was told",
        tests=("tests/ingest_api/ingestion/test_pending.py::test_first_answer_of_a_place_counts",),
    ),
    Mutation(
        name="acks-second-transform-counts",
        file="ingest_api/ingestion/pending.py",
        old=("    if record.transformed:\n        return\n"),
        new="",
        why="a record that is read again under a newer plan would owe other answers",
        tests=("tests/ingest_api/ingestion/test_pending.py::test_what_transform_said_first_counts",),
    ),
    Mutation(
        name="acks-lost-record-succeeds",
        file="ingest_api/ingestion/pending.py",
        old="RecordOutcome(Failure(UNAVAILABLE, self.lost, retryable=True), {})",
        new="RecordOutcome(None, dict.fromkeys(self.views))",
        why="a record that Kafka refused would be acked",
        tests=("tests/ingest_api/ingestion/test_pending.py::test_record_that_kafka_did_not_take_failed_as_a_whole",),
    ),
    Mutation(
        name="acks-failed-store-succeeds",
        file="ingest_api/ingestion/pending.py",
        old=("            if answer.store:\n"),
        new=("            if answer.store and not answers:\n"),
        why="a record that a full disk refused would be acked",
        tests=("tests/ingest_api/ingestion/test_pending.py::test_failed_store_fails_the_view_and_is_retryable",),
    ),
    Mutation(
        name="acks-overdue-succeeds",
        file="ingest_api/ingestion/pending.py",
        old="if not self.transformed or len(answers) < owed:",
        new="if not self.transformed:",
        why="at the deadline a record would be acked that half of the places have",
        tests=(
            "tests/ingest_api/ingestion/test_pending.py::test_at_the_deadline_what_is_missing_is_unavailable_and_the_rest_is_kept",
        ),
    ),
    Mutation(
        name="acks-function-failure-succeeds",
        file="ingest_api/ingestion/pending.py",
        old=(
            "record.failed = {view: Failure(code, message) for view, code, message in news.failures if view"
            " in record.views}"
        ),
        new="record.failed = {}",
        why="a record that a view's function failed on would be acked as stored",
        tests=("tests/simulation/test_simulation.py::test_quick_histories_keep_the_invariants",),
    ),
    Mutation(
        name="transform-failures-not-answered",
        file="schemas/records/transform.py",
        old="failures = [(view.id, problem.code, problem.message) for view, problem in problems]",
        new="failures: list[Any] = []",
        why="a record that a view's function failed on would be acked as stored",
        tests=("tests/simulation/test_simulation.py::test_quick_histories_keep_the_invariants",),
    ),
    Mutation(
        name="delivery-commits-before-kafka-has-it",
        file="processors/producer/delivery.py",
        old="while self._sent and self._sent[0].delivered:",
        new="while self._sent:",
        why="a crash would lose what was processed and not yet sent",
        tests=("tests/processors/producer/test_delivery.py::test_the_offset_never_passes_what_is_not_delivered",),
    ),
    Mutation(
        name="acks-message-too-large",
        file="processors/producer/messages.py",
        old="if len(value) <= MAX_ACKS_BYTES or len(acks) == 1:",
        new="if value:",
        why="answers with long reasons would not fit Kafka, and end the processor",
        tests=(
            "tests/processors/producer/test_messages.py::test_answers_that_are_too_large_for_one_message_take_several",
        ),
    ),
)
