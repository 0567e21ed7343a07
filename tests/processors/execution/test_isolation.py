"""One record in a child process: whatever its function does, the caller lives and gets rows or a reject."""

import asyncio
import contextlib
import os
import sys
from pathlib import Path

import psutil
import pytest

from infra.process import parent_death
from infra.user_code import process as code_process
from infra.user_code.child import Code
from processors.execution.isolation import transform_isolated
from schemas.definitions.plan import Plan
from schemas.errors import FUNCTION_FAILED, VIEW_FAILED
from schemas.messages.updates import ReplyAddress, Transformed, decode_update
from schemas.records.transform import Problem, Transformation
from tests.support.flow import OWN_ID, body, plan, record, transform
from tests.support.waiting import wait_until

TEXT = """
import ctypes, os, sys, time
from headrace import *

user = Entity(name="user", join_keys=[Field("user", String)])
events = StreamSource(name="events", timestamp_field="at", log_offline=True, schema=[
    Field("user", String), Field("amount", Float64), Field("at", Timestamp)])

@stream_feature_view(source=events, entities=[user], version="V1", timestamp_field="at")
def newest(record):
    what = record["user"]
    if what == "exit": os._exit(0)
    if what == "status": os._exit(7)
    if what == "segfault": ctypes.string_at(0)
    if what == "loop":
        while True: pass
    if what == "memory": return [record] * (4 * 1024**3)
    if what == "print": print("hello"); os.write(1, b"native"); sys.stdout.flush()
    if what == "raise": raise ValueError("no")
    return record
"""


def planned() -> Plan:
    of = plan()
    return Plan(
        of.workspace, of.partitions, of.sources, {"newest@V1": of.views["newest@V1"]}, {}, {"features.py": TEXT}, "",
        number=9,
    )  # fmt: skip


def code(text: str = TEXT) -> list[Code]:
    return [Code("plan-9", {"features.py": text}, {}, ["newest@V1"])]


def run(what: str, time_limit: float = 30.0, text: str = TEXT) -> Transformation:
    subject = transform(planned())
    value = body(subject.source, what, 1.0)
    waiting = record(4, value, ReplyAddress(3, b"request", 0, "here"))
    call = transform_isolated(
        subject, code(text), waiting, {OWN_ID + 1: None}, time_limit=time_limit, pauses=(0.01, 0.01)
    )
    return asyncio.run(call)


def test_a_record_that_kills_nobody_becomes_what_it_becomes_here() -> None:
    subject = transform(planned())
    value = body(subject.source, "print", 1.0)
    alone = record(4, value, ReplyAddress(3, b"request", 0, "here"))
    here, there = subject([alone], {}), run("print")
    assert (there.updates, there.rejects, there.acks, there.rows) == (here.updates, [], here.acks, 1)
    assert decode_update(there.updates[0][1]).rows[0].offset == 4


@pytest.mark.parametrize(
    ("what", "problem"),
    [
        ("exit", "ended with exit status 0 and without an answer"),
        ("status", "ended with exit status 7"),
        ("segfault", "ended with signal SIGSEGV"),
    ],
)
def test_a_record_that_ends_the_child_is_a_reject_that_says_how(what: str, problem: str) -> None:
    outcome = run(what)
    assert (outcome.updates, outcome.rows) == ([], 0)
    told = problem_of(outcome)
    assert (told.code, told.view) == (FUNCTION_FAILED, "")
    assert told.message.endswith(problem)
    view = planned().views["newest@V1"].id
    assert outcome.acks == {3: [Transformed(b"request", 0, [], [(view, FUNCTION_FAILED, told.message)])]}


def problem_of(outcome: Transformation) -> Problem:
    (reject,) = outcome.rejects
    (problem,) = reject.problems
    return problem


def test_packages_in_the_working_directory_do_not_stand_in_for_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "__init__.py").write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert run("print").rows == 1


def test_an_endless_loop_ends_with_its_time() -> None:
    outcome = run("loop", time_limit=1.5)
    assert problem_of(outcome).message.endswith("did not end within 1.5 s")


def test_too_much_memory_is_a_failure_of_the_function() -> None:
    outcome = run("memory")
    assert outcome.acks[3][0].failures[0][2].endswith("in newest: MemoryError: ")  # type: ignore[union-attr] # Transformed it is


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory")
def test_what_the_plans_code_has_taken_condemns_no_record() -> None:
    more = """
import mmap
reserved = mmap.mmap(-1, 8 << 30, prot=mmap.PROT_READ)  # as libraries do that reserve memory for each core
"""
    assert run("print", text=TEXT + more).rows == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("raise RuntimeError('no licence')" + TEXT, "RuntimeError: no licence"),
        ("import os; os._exit(3)" + TEXT, "ended with exit status 3"),
        (TEXT.replace("def newest", "def other"), "views newest@V1 do not load there"),
    ],
)
def test_a_child_that_comes_not_as_far_as_the_function_condemns_no_record(text: str, problem: str) -> None:
    outcome = run("print", text=text)
    told = problem_of(outcome)
    assert (told.code, outcome.updates) == (VIEW_FAILED, [])
    assert told.message.startswith("the process to run this record alone could not be prepared: ")
    assert problem in told.message


def test_a_child_that_cannot_be_started_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def command(argv: list[str]) -> list[str]:
        tried.append(argv)
        return ["/nowhere/at/all"] if len(tried) < 3 else parent_death.tied_to_parent(argv)

    monkeypatch.setattr(code_process, "tied_to_parent", command)
    assert run("print").rows == 1
    assert len(tried) == 3


def test_the_time_of_a_record_begins_when_its_code_is_loaded() -> None:
    assert run("print", time_limit=2.0, text="import time; time.sleep(2.5)" + TEXT).rows == 1


def test_an_unknown_schema_is_the_same_reject_as_here() -> None:
    subject = transform(planned())
    value = b"\x00" + (OWN_ID + 1).to_bytes(4, "big") + b"x"
    outcome = asyncio.run(transform_isolated(subject, code(), record(1, value), {OWN_ID + 1: None}, time_limit=30.0))
    assert problem_of(outcome).code == "UNKNOWN_SCHEMA"


def test_the_child_ends_with_a_call_that_is_cancelled() -> None:
    subject = transform(planned())
    value = body(subject.source, "loop", 1.0)

    async def cancelled() -> None:
        call = asyncio.create_task(transform_isolated(subject, code(), record(1, value), {}, time_limit=30.0))
        await asyncio.to_thread(wait_until, lambda: bool(children()))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(cancelled())
    wait_until(lambda: not children())


def children() -> list[psutil.Process]:
    found = []
    for child in psutil.Process(os.getpid()).children():
        with contextlib.suppress(psutil.Error):
            if "infra.user_code.child" in " ".join(child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
    return found
