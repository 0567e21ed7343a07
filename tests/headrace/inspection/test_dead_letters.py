from headrace.inspection.dead_letters import (
    HEADS,
    NOT_KNOWN,
    DeadLetter,
    ViewProblem,
    dead_letter_of,
    dead_letters,
    dead_letters_of,
    document,
    rows,
)
from headrace.inspection.newest import StoredRecord
from infra.kafka.clients import TopicSpec, ensure_topics, produce_checked, producer
from processors.producer.messages import OutMessage, dead_letter
from schemas.errors import FUNCTION_FAILED, MALFORMED
from schemas.records.transform import Problem, Reject, SourceRecord
from schemas.topics import dead_letter_topic


def written(*problems: Problem) -> OutMessage:
    return dead_letter("prod", "events", Reject(SourceRecord(2, 7, 5_000, b"bytes", None), problems))


def stored(message: OutMessage) -> StoredRecord:
    return StoredRecord(0, 3, 6_000, message.value or b"", dict(message.headers))


def test_what_processors_write_is_read_back() -> None:
    problems = (Problem("a@V1", FUNCTION_FAILED, "ValueError: two\nlines, one"), Problem("b@V2", MALFORMED, ""))
    assert dead_letter_of(stored(written(*problems))) == DeadLetter(
        6_000,
        2,
        7,
        5_000,
        (ViewProblem("a@V1", FUNCTION_FAILED, "ValueError: two lines, one"), ViewProblem("b@V2", MALFORMED, "")),
        b"bytes",
    )


def test_a_record_that_no_view_could_see_has_one_problem_of_no_view() -> None:
    assert dead_letter_of(stored(written(Problem("", MALFORMED, "no Avro")))).problems == (
        ViewProblem("", MALFORMED, "no Avro"),
    )


def test_what_headers_leave_out_is_empty() -> None:
    found = dead_letter_of(StoredRecord(0, 0, 6_000, b"", {"headrace-view": b"a,b", "headrace-offset": b"x"}))
    assert (found.partition, found.offset, found.append_time) == (NOT_KNOWN, NOT_KNOWN, 0)
    assert found.problems == (ViewProblem("a", "", ""), ViewProblem("b", "", ""))


def test_the_dead_letters_of_a_source_are_counted_and_the_newest_are_read(bootstrap: str, unique: str) -> None:
    topic = dead_letter_topic(unique, "events")
    assert dead_letters(bootstrap, unique, "events", 2).held == 0
    ensure_topics(bootstrap, [TopicSpec(topic, 1)])
    client = producer(bootstrap)
    for text in ("first", "second", "third"):
        message = written(Problem("a@V1", FUNCTION_FAILED, text))
        produce_checked(client, topic, None, message.value, headers=message.headers)
    found = dead_letters(bootstrap, unique, "events", 2)
    assert (found.source, found.held) == ("events", 3)
    assert [each.problems[0].text for each in found.newest] == ["second", "third"]
    every = dead_letters_of(bootstrap, unique, ["none", "events"], 1)
    assert [(each.source, each.held, len(each.newest)) for each in every] == [("events", 3, 1), ("none", 0, 0)]


def test_a_dead_letter_is_told_without_its_bytes() -> None:
    letter = dead_letter_of(stored(written(Problem("a@V1", FUNCTION_FAILED, "broken"), Problem("b@V1", "X", "bad"))))
    assert document(letter) == {
        "time": "1970-01-01T00:00:06Z",
        "partition": 2,
        "offset": 7,
        "problems": [
            {"view": "a@V1", "code": "FUNCTION_FAILED", "text": "broken"},
            {"view": "b@V1", "code": "X", "text": "bad"},
        ],
    }
    lines = rows(document(letter))
    assert lines == [
        ["1970-01-01T00:00:06Z", "2/7", "FUNCTION_FAILED", "a@V1", "broken"],
        ["", "", "X", "b@V1", "bad"],
    ]
    assert {len(line) for line in lines} == {len(HEADS)}
