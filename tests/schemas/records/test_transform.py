import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from schemas.avro import schema as avro
from schemas.avro import wire
from schemas.definitions.plan import Plan
from schemas.definitions.repository import load_repository
from schemas.errors import FUNCTION_FAILED, VIEW_FAILED, RecordError
from schemas.instants import micros
from schemas.limits import MAX_PROBLEM_CHARACTERS, MAX_ROW_BYTES, MAX_ROWS_BYTES, MAX_ROWS_PER_RECORD
from schemas.messages.updates import (
    ReplyAddress,
    Transformed,
    Update,
    decode_acks,
    decode_update,
    encode_acks,
    rows_by_waiting,
)
from schemas.records.transform import (
    MAX_UPDATE_BYTES,
    Problem,
    Reject,
    SourceRecord,
    SourceTransform,
    Transformation,
)
from schemas.state.keys import encode_join_keys, partition_of
from tests.support.repositories import HEAD, plan_of, view

AT = datetime(2026, 1, 2, tzinfo=UTC)
SCHEMA_ID = 7
REPLY = ReplyAddress(3, b"request", 5, "here")
BROKEN_AT = f"views.py:{HEAD.count(chr(10)) + 3}, in broken: "
"""Where the body stands of a view that comes first and is called so."""


def transform_of(text: str | Mapping[str, str]) -> SourceTransform:
    plan = plan_of(text, number=42)
    source = msgspec.structs.replace(plan.sources["events"], schema_id=SCHEMA_ID)
    views = load_repository(plan.files, "repo").views
    return SourceTransform(
        plan, source, {f"{name}@{version}": item.function for (name, version), item in views.items()}
    )


def framed(plan: Plan, **values: Any) -> bytes:
    record = {"user": "u", "x": 1.0, "tags": ["a"], "at": AT, **values}
    return wire.frame(SCHEMA_ID, avro.parse(plan.sources["events"].schema), record)


def source_record(
    transform: SourceTransform, offset: int = 0, reply: ReplyAddress | None = None, **values: Any
) -> SourceRecord:
    return SourceRecord(2, offset, 1_767_312_000_000, framed(transform.plan, **values), reply)


def run(text: str, *, reply: ReplyAddress | None = None, **values: Any) -> Transformation:
    transform = transform_of(text)
    return transform([source_record(transform, 9, reply, **values)], {})


def updates(outcome: Transformation) -> list[Update]:
    return [decode_update(data) for _, data in outcome.updates]


def failure(body: str) -> str:
    outcome = run(view(body=body))
    ((problem,),) = [reject.problems for reject in outcome.rejects]
    assert (problem.code, problem.view, outcome.updates) == (FUNCTION_FAILED, "totals@V1", [])
    return problem.message


def raised(body: str) -> str:
    """Returns what is told of a function that raises, without the line and the name that come first."""
    found = re.fullmatch(r"views\.py:\d+, in [\w<>]+: (.*)", failure(body))
    assert found is not None
    return found[1]


def test_a_record_becomes_a_row_with_all_that_state_and_log_need() -> None:
    outcome = run(view(), reply=REPLY)
    ((partition, data),) = outcome.updates
    update = decode_update(data)
    assert partition == partition_of(encode_join_keys(["u"]), 4)
    assert (update.plan, update.view, update.source_partition) == (42, 10, 2)
    (row,) = update.rows
    assert (row.key, row.event_time) == (encode_join_keys(["u"]), micros(AT))
    assert (row.append_time, row.offset, row.index) == (1_767_312_000_000, 9, 0)
    assert row.values == ["u", micros(AT), 1.0]
    assert [(waiting.reply, waiting.rows) for waiting in update.waiting] == [(REPLY, 1)]
    assert outcome.acks == {3: [Transformed(b"request", 5, [(10, partition, 1)], [])]}
    assert outcome.rows == 1


def test_the_answer_to_a_record_names_the_rows_of_all_its_views() -> None:
    two = "return [record, {**record, 'at': record['at'] + timedelta(1)}]"
    outcome = run(view("a") + view("b", body=two) + view("c", body="return None"), reply=REPLY)
    (answer,) = outcome.acks[REPLY.partition]
    assert isinstance(answer, Transformed)
    rows = {update.view: len(update.rows) for update in updates(outcome)}
    assert {sent_view: count for sent_view, _, count in answer.sent} == rows
    assert sorted(rows.values()) == [1, 2]
    assert outcome.rows == 3


def test_a_dropped_record_is_answered_with_nothing_sent() -> None:
    outcome = run(view(body="return None"), reply=REPLY)
    assert outcome.acks == {3: [Transformed(b"request", 5, [], [])]}
    assert (outcome.updates, outcome.rejects, outcome.rows) == ([], [], 0)


def test_an_empty_list_drops_the_record_too() -> None:
    assert run(view(body="return []")).updates == []


def test_rows_of_one_record_are_numbered_and_go_to_their_partitions() -> None:
    outcome = run(view(body="return [{**record, 'user': str(n)} for n in range(20)]"), reply=REPLY)
    indices = sorted(row.index for update in updates(outcome) for row in update.rows)
    assert indices == list(range(20))
    (answer,) = outcome.acks[3]
    assert isinstance(answer, Transformed)
    sent = {partition: count for _, partition, count in answer.sent}
    assert sent == {partition: len(decode_update(data).rows) for partition, data in outcome.updates}
    assert sent == {partition: decode_update(data).waiting[0].rows for partition, data in outcome.updates}
    for partition, data in outcome.updates:
        assert all(partition_of(row.key, 4) == partition for row in decode_update(data).rows)


def test_what_someone_waits_for_travels_apart_and_each_record_has_its_rows_side_by_side() -> None:
    transform = transform_of(view(body="return [record, {**record, 'x': 2.0}]"))
    replies = [REPLY, None, REPLY, None]
    outcome = transform([source_record(transform, offset, reply) for offset, reply in enumerate(replies)], {})
    by_waiting = {len(update.waiting): update for update in updates(outcome)}
    assert [row.offset for row in by_waiting[0].rows] == [1, 1, 3, 3]
    assert [row.offset for row in by_waiting[2].rows] == [0, 0, 2, 2]
    assert rows_by_waiting(by_waiting[2]) == [range(2), range(2, 4)]


def test_records_that_a_function_drops_are_counted_by_view() -> None:
    text = view("none", body="return None") + view("empty", body="return []") + view("kept")
    transform = transform_of(text)
    outcome = transform([source_record(transform, 0), source_record(transform, 1, REPLY)], {})
    assert outcome.dropped == {"none@V1": 2, "empty@V1": 2}


def test_one_views_failure_is_its_own() -> None:
    text = view("broken", body="return record['nothing']") + view("works")
    outcome = run(text, reply=REPLY)
    (answer,) = outcome.acks[3]
    assert isinstance(answer, Transformed)
    assert [sent[0] for sent in answer.sent] == [11]
    assert answer.failures == [(10, FUNCTION_FAILED, BROKEN_AT + "KeyError: 'nothing'")]
    assert [update.view for update in updates(outcome)] == [11]


@pytest.mark.parametrize("reply", [None, REPLY], ids=["direct", "from the ingest API, or with a copy of its header"])
def test_a_record_that_fails_is_one_dead_letter_of_all_views_that_failed_whoever_sent_it(
    reply: ReplyAddress | None,
) -> None:
    text = view("broken", body="return record['nothing']") + view("works") + view("wrong", body="return 7")
    outcome = run(text, reply=reply)
    (reject,) = outcome.rejects
    assert reject.problems == (
        Problem("broken@V1", FUNCTION_FAILED, BROKEN_AT + "KeyError: 'nothing'"),
        Problem("wrong@V1", FUNCTION_FAILED, "expected a dict, a list of dicts or None, the function returned int"),
    )
    assert not reject.is_unseen
    assert [update.view for update in updates(outcome)] == [plan_of(text).views["works@V1"].id]


def test_a_view_that_does_not_load_here_fails_every_record_and_stops_no_other_view() -> None:
    plan = plan_of(view("absent") + view("works"))
    functions = {"works@V1": lambda record: record}
    source = msgspec.structs.replace(plan.sources["events"], schema_id=SCHEMA_ID)
    transform = SourceTransform(plan, source, functions, {"absent@V1": "No module named 'torch'"})
    outcome = transform([source_record(transform, 1, REPLY), source_record(transform, 2)], {})
    problem = Problem("absent@V1", VIEW_FAILED, "No module named 'torch'")
    assert [(reject.record.offset, reject.problems) for reject in outcome.rejects] == [(1, (problem,)), (2, (problem,))]
    assert [row.offset for update in updates(outcome) for row in update.rows] == [1, 2]
    (answer,) = outcome.acks[REPLY.partition]
    assert isinstance(answer, Transformed)
    assert [view for view, _, _ in answer.sent] == [plan.views["works@V1"].id]
    assert answer.failures == [(plan.views["absent@V1"].id, VIEW_FAILED, "No module named 'torch'")]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("from schemas.errors import RecordError\n    raise RecordError('A_CODE_OF_THE_USER', 'no')", "no"),
        ("return 5", "expected a dict, a list of dicts or None, the function returned int"),
        ("return [record, 5]", "expected a dict, a list of dicts or None, the function returned list"),
        ("yield record", "expected a dict, a list of dicts or None, the function returned generator"),
        (
            "return {**record, 'x': 'one'}",
            "view 'totals': column 'x': expected float64, the function returned str 'one'",
        ),
        ("return [record] * 1001", "expected at most 1,000 rows of one record, the function returned 1,001"),
    ],
)
def test_whatever_a_function_does_wrong_is_said_in_words(body: str, message: str) -> None:
    assert failure(body).startswith(message)


def test_where_a_function_failed_is_its_own_innermost_line() -> None:
    text = {
        "helper.py": "import json\n\ndef parsed(text):\n    return json.loads(text)\n",
        "views.py": f"from helper import parsed\n{HEAD}" + view(body="return parsed(record['user'])"),
    }
    transform = transform_of(text)
    ((problem,),) = [each.problems for each in transform([source_record(transform, 9, None)], {}).rejects]
    assert problem.message.startswith("helper.py:4, in parsed: JSONDecodeError: ")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ValueError('no')", "ValueError: no"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("return record['x'] / 0", "ZeroDivisionError: float division by zero"),
    ],
)
def test_what_a_function_raises_is_said_with_its_line(body: str, message: str) -> None:
    assert raised(body) == message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "class E(Exception):\n        def __str__(self): raise OSError\n    raise E",
            "E, whose text cannot be made: OSError",
        ),
        (
            "class E(Exception):\n        def __str__(self): raise SystemExit\n    raise E",
            "E, whose text cannot be made: SystemExit",
        ),
        (
            "class V:\n        def __repr__(self): raise OSError('no')\n    return {**record, 'x': V()}",
            "OSError: no",
        ),
        (
            "from collections import UserDict\n    return type('D', (UserDict,), {'get': lambda *_: 1 / 0})()",
            "ZeroDivisionError: division by zero",
        ),
    ],
    ids=["text of an exception", "text that ends the process", "text of a value", "mapping"],
)
def test_objects_of_the_user_cannot_break_out(body: str, message: str) -> None:
    assert raised(body) == message


@pytest.mark.parametrize("name", ["KeyboardInterrupt", "GeneratorExit", "SystemExit", "BaseException"])
def test_what_is_no_ordinary_exception_fails_its_record_alone(name: str) -> None:
    assert raised(f"raise {name}") == f"{name}: "


def test_what_is_told_of_a_failure_has_a_limit() -> None:
    outcome = run(view(body="raise ValueError('x' * 100_000)"), reply=REPLY)
    answer = outcome.acks[REPLY.partition][0]
    assert isinstance(answer, Transformed)
    assert [len(problem) for _, _, problem in answer.failures] == [MAX_PROBLEM_CHARACTERS]
    outcome = transform_of(view()).refuse(SourceRecord(2, 0, 0, b"", REPLY), "CODE", "x" * 100_000)
    assert [len(problem.message) for reject in outcome.rejects for problem in reject.problems] == [
        MAX_PROBLEM_CHARACTERS
    ]


def test_what_is_told_of_a_failure_can_be_sent_whatever_the_text() -> None:
    outcome = run(view(body="raise ValueError('\\ud800!')"), reply=REPLY)
    (answer,) = outcome.acks[REPLY.partition]
    assert decode_acks(encode_acks([answer])) == [answer]
    ((problem,),) = [reject.problems for reject in outcome.rejects]
    assert problem.message.endswith("ValueError: ?!")


def test_no_view_sees_what_another_ones_function_did_to_the_record() -> None:
    features = ', schema=[Field("n", Int64)]'
    text = view("a", features, "record['tags'].append('b'); record['x'] = None; return {**record, 'n': 1}")
    outcome = run(text + view("b", features, "return {**record, 'n': len(record['tags']) if record['x'] else -1}"))
    assert [update.rows[0].values[-1] for update in updates(outcome)] == [1, 1]


def test_rows_too_large_for_a_message_are_refused() -> None:
    text = view(options="", body="return [record] * 900")
    transform = transform_of(text)
    tags = ["x" * 1000] * (MAX_ROWS_BYTES // 900 // 1000 + 1)
    (reject,) = transform([source_record(transform, tags=tags)], {}).rejects
    told = r"expected at most 4,194,304 bytes in the rows of one record, 83\d of the 900 .* returned have 4,19\d,\d{3}"
    assert re.fullmatch(told, reject.problems[0].message)


def test_one_row_may_be_as_large_as_the_largest_source_record_and_no_larger() -> None:
    text = view(options="", body="return {**record, 'tags': ['x' * int(record['x'])]}")
    transform = transform_of(text)
    most = MAX_ROW_BYTES - 100
    outcome = transform([source_record(transform, x=float(size)) for size in (most, MAX_ROW_BYTES)], {})
    assert [len(update.rows) for update in updates(outcome)] == [1]
    (reject,) = outcome.rejects
    told = "expected at most 1,048,576 bytes in a row, the function returned one of 1,048,6"
    assert reject.problems[0].message.startswith(told)


def test_limits_of_rows_are_what_is_still_taken() -> None:
    transform = transform_of(view(options="", body="return {**record, 'tags': ['x' * int(record['x'])]}"))

    def told(size: float) -> list[str]:
        outcome = transform([source_record(transform, x=size)], {})
        return [problem.message for reject in outcome.rejects for problem in reject.problems]

    (over,) = told(float(MAX_ROW_BYTES))
    overhead = int(over.rpartition(" ")[2].replace(",", "")) - MAX_ROW_BYTES
    assert told(float(MAX_ROW_BYTES - overhead)) == []
    assert told(float(MAX_ROW_BYTES - overhead + 1)) == [
        "expected at most 1,048,576 bytes in a row, the function returned one of 1,048,577"
    ]

    transform = transform_of(view(options="", body="return [record] * int(record['x'])"))
    assert told(float(MAX_ROWS_PER_RECORD)) == []
    assert told(float(MAX_ROWS_PER_RECORD + 1)) == [
        "expected at most 1,000 rows of one record, the function returned 1,001"
    ]


def test_messages_are_closed_as_they_grow_and_split_no_record() -> None:
    transform = transform_of(view(options="", body="return [record, {**record, 'at': record['at'] + timedelta(1)}]"))
    tags = ["x" * 1000] * 30
    records = [
        source_record(transform, offset, ReplyAddress(0, b"r", offset, "here"), tags=tags) for offset in range(20)
    ]
    outcome = transform(records, {})
    messages = updates(outcome)
    assert len(messages) > 2
    assert max(len(data) for _, data in outcome.updates) < MAX_UPDATE_BYTES + 70_000
    assert [row.offset for update in messages for row in update.rows] == [n for n in range(20) for _ in range(2)]
    for update in messages:
        assert [waiting.reply.index for waiting in update.waiting] == sorted({row.offset for row in update.rows})
        assert {waiting.rows for waiting in update.waiting} == {2}


def test_what_a_function_makes_counts_for_the_size_of_messages() -> None:
    transform = transform_of(view(options="", body="return {**record, 'tags': ['x' * 100_000]}"))
    outcome = transform([source_record(transform, offset) for offset in range(10)], {})
    assert [len(update.rows) for update in updates(outcome)] == [3, 3, 3, 1]


@pytest.mark.parametrize(
    ("value", "code", "message"),
    [
        (b"", "MALFORMED", "expected the Confluent wire format (0x00, schema id, Avro body), got nothing"),
        (b"{}", "MALFORMED", "expected the Confluent wire format (0x00, schema id, Avro body), got 2 bytes"),
        (b"\x00\x00\x00\x00\x07\x01", "MALFORMED", "the Avro body does not decode"),
        (b"\x00\x00\x00\x00\x63\x01", "UNKNOWN_SCHEMA", "schema id 99 is not in the registry; register the schema"),
    ],
)
def test_a_record_that_cannot_be_read_is_rejected_whole_and_answered(value: bytes, code: str, message: str) -> None:
    transform = transform_of(view() + view("other"))
    for reply in (None, REPLY):
        record = SourceRecord(0, 1, 2, value, reply)
        outcome = transform([record, source_record(transform, 2)], {99: None})
        ((refused, (problem,)),) = outcome.rejects
        assert (refused, problem.code, problem.view) == (record, code, "")
        assert problem.message.startswith(message)
        failures = [(view, code, problem.message) for view in (10, 11)]
        expected = {} if reply is None else {3: [Transformed(b"request", 5, [], failures)]}
        assert outcome.acks == expected
        assert len(outcome.updates) == 2


def test_a_record_no_view_may_see_is_rejected_with_the_given_words() -> None:
    transform = transform_of(view())
    record = source_record(transform, reply=REPLY)
    outcome = transform.refuse(record, "CODE", "words")
    assert outcome.rejects == [Reject(record, (Problem("", "CODE", "words"),))]
    assert outcome.rejects[0].is_unseen
    assert outcome.acks == {3: [Transformed(b"request", 5, [], [(10, "CODE", "words")])]}


def test_records_of_an_older_schema_are_read_with_its_own() -> None:
    transform = transform_of(view())
    older = avro.parse(
        '{"type":"record","name":"events","fields":[{"name":"user","type":"string"},'
        '{"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}}]}'
    )
    value = wire.frame(3, older, {"user": "u", "at": AT + timedelta(microseconds=1)})
    (update,) = updates(transform([SourceRecord(0, 0, 0, value, None)], {3: older}))
    assert update.rows[0].values == ["u", micros(AT) + 1, None]


def test_decode_says_what_is_wrong() -> None:
    with pytest.raises(RecordError, match="got nothing"):
        transform_of(view()).decode(b"", {})


def test_the_outcome_does_not_depend_on_the_batches() -> None:
    def rows(batches: Sequence[Sequence[SourceRecord]]) -> list[Any]:
        return [
            msgspec.to_builtins(row)
            for batch in batches
            for update in updates(transform(batch, {}))
            for row in update.rows
        ]

    transform = transform_of(view())
    records = [source_record(transform, offset, x=float(offset)) for offset in range(10)]
    assert rows([records]) == rows([[record] for record in records]) == rows([records[:3], records[3:]])
