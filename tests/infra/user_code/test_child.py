"""What the child does with its task, in this process; that it is a process of its own is `test_trial`'s."""

import subprocess
import sys
from typing import Any

import msgspec
import pytest

from infra.user_code import child as code_child
from infra.user_code.child import Answer, Code, Ready, Result, Run, Step, Task, framed
from schemas.definitions.plan_codec import encode
from schemas.limits import RECORD_MEMORY_BYTES
from schemas.messages.updates import ReplyAddress, Transformed, decode_update
from schemas.records.transform import SourceRecord
from schemas.registry.fold import canonical_form
from tests.support import flow

PLAN = flow.plan()
SOURCE = PLAN.sources[flow.SOURCE]
KEYS = ["newest@V1", "totals@V1"]
FILES = {"features.py": flow.TEXT}
LOADED = [Step("begins", "features"), Step("ends", "features")]


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The limits of memory that were set, which are not this process's."""
    found: list[int] = []
    monkeypatch.setattr(code_child, "limit_growth", found.append)
    return found


def code(files: dict[str, str] | None = None, views: list[str] | None = None, **condemned: str) -> Code:
    return Code("plan-5", FILES if files is None else files, condemned, KEYS if views is None else views)


def run_of(record: SourceRecord, writers: dict[str, str | None] | None = None) -> Run:
    fields = (record.partition, record.offset, record.append_time, record.value, record.reply)
    return Run(flow.SOURCE, fields, writers or {})


def task_of(*codes: Code, **failed: str) -> Task:
    return Task(list(codes or [code()]), encode(PLAN), 5, {key.replace("_", "@"): why for key, why in failed.items()})


def said(task: Task, *runs: Run) -> list[Any]:
    found: list[Answer] = []
    code_child._work(task, runs, found.append)  # noqa: SLF001 - the program without its process
    return found


def test_code_alone_is_loaded_and_told_by_its_views() -> None:
    assert said(Task([code(views=[])])) == [*LOADED, Ready(KEYS, {})]


def test_each_module_is_said_before_and_after_it_runs() -> None:
    files = {"a.py": "import b", "b.py": "", "c.py": "1 / 0"}
    *steps, ready = said(Task([code(files)]))
    assert [(step.event, step.module) for step in steps] == [
        ("begins", "a"),
        ("begins", "b"),
        ("ends", "b"),
        ("ends", "a"),
        ("begins", "c"),
        ("ends", "c"),
    ]
    assert (ready.views, list(ready.failures)) == ([], ["c"])


def test_condemned_modules_do_not_run() -> None:
    assert said(Task([code(features="it hangs")])) == [Ready([], {"features": "it hangs"})]


def test_a_record_becomes_rows_and_acks_after_the_code_is_ready(limits: list[int]) -> None:
    record = flow.record(4, flow.body(SOURCE, "u", 2.0), ReplyAddress(3, b"request", 0, flow.INSTALLATION))
    *before, ready, result = said(task_of(), run_of(record))
    assert (before, ready) == (LOADED, Ready(KEYS, {}))
    assert isinstance(result, Result)
    assert (result.rows, result.rejects, limits) == (2, [], [RECORD_MEMORY_BYTES])
    partitions = {decode_update(update).view: partition for partition, update in result.updates}
    assert result.acks == {3: [Transformed(b"request", 0, [(view, partitions[view], 1) for view in (1, 2)], [])]}


def test_records_run_one_after_the_other(limits: list[int]) -> None:
    runs = [run_of(flow.record(offset, flow.body(SOURCE, "u", 2.0))) for offset in (4, 7)]
    *_, ready, first, second = said(task_of(), *runs)
    assert ready == Ready(KEYS, {})
    offsets = [
        [row.offset for _, data in result.updates for row in decode_update(data).rows] for result in (first, second)
    ]
    assert offsets == [[4, 4], [7, 7]]
    assert len(limits) == 2


def test_a_function_that_fails_is_a_reject_that_names_its_view() -> None:
    result = said(task_of(), run_of(flow.record(4, flow.body(SOURCE, "u", 0.0))))[-1]
    assert [[problem.view for problem in problems] for problems in result.rejects] == [["totals@V1"]]


@pytest.mark.parametrize("views", [["newest@V1"], KEYS], ids=["nor here", "but here"])
def test_a_view_that_did_not_load_in_the_parent_does_not_run(views: list[str]) -> None:
    run = run_of(flow.record(4, flow.body(SOURCE, "u", 0.0)))
    result = said(task_of(code(views=views), totals_V1="it does not load here"), run)[-1]
    assert result.rows == 1
    ((problem,),) = result.rejects
    assert problem.view == "totals@V1"
    assert "it does not load here" in problem.message


def test_code_that_came_not_as_far_as_in_the_parent_runs_no_record(limits: list[int]) -> None:
    run = run_of(flow.record(4, flow.body(SOURCE, "u", 1.0)))
    answers = said(task_of(code(views=["newest@V1"])), run)
    assert answers == [*LOADED, Ready(["newest@V1"], {})]
    assert limits == []


def test_functions_come_from_the_repository_that_names_their_views() -> None:
    other = {"features.py": flow.TEXT.replace("return record\n", "return {**record, 'amount': 9.0}\n")}
    record = flow.record(4, flow.body(SOURCE, "u", 2.0))
    tasks = [
        [code(views=["totals@V1"]), code(other, ["newest@V1"])],
        [code(other, ["totals@V1"]), code(views=["newest@V1"])],
    ]
    newest = []
    for each in tasks:
        updates = [decode_update(data) for _, data in said(task_of(*each), run_of(record))[-1].updates]
        newest += [row.values[-1] for update in updates for row in update.rows if update.view == 1]
    assert newest == [9.0, 2.0]


def test_records_of_other_writers_are_read_with_their_schemas() -> None:
    writer = canonical_form(SOURCE.schema)
    value = flow.body(SOURCE, "u", 2.0)
    framed = value[:1] + (flow.OWN_ID + 1).to_bytes(4, "big") + value[5:]
    known, unknown = (
        said(task_of(), run_of(flow.record(4, framed), {str(flow.OWN_ID + 1): text}))[-1] for text in (writer, None)
    )
    assert (known.rows, known.rejects) == (2, [])
    assert unknown.rows == 0
    assert [[problem.code for problem in problems] for problems in unknown.rejects] == [["UNKNOWN_SCHEMA"]]


def test_task_and_answers_come_back_from_their_bytes() -> None:
    task = task_of(totals_V1="no")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(task), type=Task) == task
    run = run_of(flow.record(4, b"x", ReplyAddress(3, b"r", 0, "here")))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(run), type=Run) == run
    for answer in said(task_of(), run_of(flow.record(4, flow.body(SOURCE, "u", 0.0)))):
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(answer), type=Answer) == answer


def test_a_copy_that_user_code_forks_answers_nothing() -> None:
    task = framed(Task([code({"a.py": "import os; os.fork()"}, [])]))
    done = subprocess.run(
        [sys.executable, "-m", code_child.__name__], input=task, capture_output=True, check=True, timeout=60
    )
    assert done.stdout == b"".join(map(framed, [Step("begins", "a"), Step("ends", "a"), Ready([], {})]))
