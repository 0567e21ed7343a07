import msgspec

from processors.producer.messages import (
    MAX_ACKS_BYTES,
    MAX_MESSAGES_CHARACTERS,
    OutMessage,
    ack_messages,
    dead_letter,
    ended_messages,
    update_messages,
)
from schemas.definitions.fold import Definitions
from schemas.definitions.plan import RetiredView
from schemas.definitions.plan_codec import encode, plan_key
from schemas.limits import MAX_PROBLEM_CHARACTERS
from schemas.messages.updates import Ack, Transformed, Written, decode_acks
from schemas.records.transform import Problem, Reject, SourceRecord
from tests.support.repositories import plan_of, view

RECORD = SourceRecord(3, 42, 1_763_000_000_123, b"\x00raw", None)


def test_updates_go_to_their_partitions_with_nothing_but_a_value() -> None:
    assert update_messages("prod", [(1, b"a"), (0, b"b")]) == [
        OutMessage("prod.updates", 1, None, b"a", []),
        OutMessage("prod.updates", 0, None, b"b", []),
    ]


def test_an_end_takes_a_retired_view_out_of_the_definitions() -> None:
    plan = plan_of(view())
    view_plan, source = plan.views["totals@V1"], plan.sources["events"]
    retired = {"totals@V1": RetiredView(view_plan, source, plan.digest, since=3, grace=60)}
    definitions = Definitions()
    before = msgspec.structs.replace(plan, views={}, retired=retired, repositories={plan.digest: plan.files})
    definitions.take(8, plan_key("prod"), encode(before))
    (message,) = ended_messages("prod", list(retired.values()))
    assert (message.topic, message.partition) == ("headrace.definitions", 0)
    definitions.take(9, message.key or b"", message.value)
    assert definitions.plans["prod"].retired == {}


def test_answers_of_one_reply_partition_share_a_message() -> None:
    acks: dict[int, list[Ack]] = {
        7: [Written(b"r", 0, 1, 0, 1), Transformed(b"r", 1, [], [])],
        2: [Written(b"s", 0, 1, 0, 1)],
    }
    messages = ack_messages("prod", acks)
    assert [(m.topic, m.partition) for m in messages] == [("prod.acks", 2), ("prod.acks", 7)]
    assert [decode_acks(m.value or b"") for m in messages] == [acks[2], acks[7]]


def test_answers_that_are_too_large_for_one_message_take_several() -> None:
    acks: list[Ack] = [Transformed(b"r", index, [], [(1, "CODE", "x" * 2_000)]) for index in range(500)]
    messages = ack_messages("prod", {0: acks})
    assert len(messages) > 1
    assert all(len(m.value or b"") <= MAX_ACKS_BYTES for m in messages)
    assert [ack for m in messages for ack in decode_acks(m.value or b"")] == acks


def test_one_answer_however_large_is_still_sent() -> None:
    acks: list[Ack] = [Transformed(b"r", 0, [], [(1, "CODE", "x" * MAX_ACKS_BYTES)])]
    assert len(ack_messages("prod", {0: acks})) == 1


def test_a_dead_letter_is_the_raw_record_and_says_why() -> None:
    assert dead_letter("prod", "events", Reject(RECORD, (Problem("a@V1", "MALFORMED", "no größer 🙂"),))) == OutMessage(
        "prod.dead-letter.events",
        None,
        None,
        b"\x00raw",
        [
            ("headrace-source", b"events"),
            ("headrace-partition", b"3"),
            ("headrace-offset", b"42"),
            ("headrace-append-time", b"1763000000123"),
            ("headrace-view", b"a@V1"),
            ("headrace-code", b"MALFORMED"),
            ("headrace-message", "no größer 🙂".encode()),
        ],
    )


def test_a_reason_is_cut_to_fit() -> None:
    headers = headers_of(Problem("", "CODE", "x" * 5_000))
    assert headers["headrace-message"] == b"x" * MAX_PROBLEM_CHARACTERS


def test_a_dead_letter_of_several_views_names_each_with_its_code_and_a_line_of_its_message() -> None:
    headers = headers_of(Problem("a@V1", "VIEW_FAILED", "one\ntwo"), Problem("b@V2", "OTHER", "three"))
    assert headers["headrace-view"] == b"a@V1,b@V2"
    assert headers["headrace-code"] == b"VIEW_FAILED,OTHER"
    assert headers["headrace-message"] == b"one two\nthree"


def test_problems_of_very_many_views_fit_into_one_dead_letter() -> None:
    headers = headers_of(*[Problem(f"v{n}@V1", "CODE", "x" * MAX_PROBLEM_CHARACTERS) for n in range(1_000)])
    lines = headers["headrace-message"].split(b"\n")
    assert (len(lines), len(set(lines))) == (1_000, 1)
    assert len(headers["headrace-message"]) <= MAX_MESSAGES_CHARACTERS + len(lines)


def headers_of(*problems: Problem) -> dict[str, bytes]:
    return dict(dead_letter("prod", "events", Reject(RECORD, problems)).headers)
