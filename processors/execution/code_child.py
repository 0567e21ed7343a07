"""The program of a child process that loads a plan's code and, if it is told to, transforms one record with it.

Invariant: what it says is said before the next thing can kill it: each module before and after it runs, ``Ready``
between the loading and the record. So the parent knows what it died of, whatever that was.

Input: a ``Task``, until the end of stdin. Output: frames of a length (u32, little-endian) and an ``Answer``. Both are
MessagePack.
"""

import os
import sys
from collections.abc import Callable
from typing import Any, Final

import msgspec

from infra.process.memory_limit import host_memory, limit_data, limit_growth
from schemas.avro import schema as avro
from schemas.definitions.plan_codec import decode_plan
from schemas.definitions.repository import load_views
from schemas.limits import LOADING_MEMORY_BYTES, RECORD_MEMORY_BYTES
from schemas.messages.updates import Ack, ReplyAddress
from schemas.records.transform import Problem, SourceRecord, SourceTransform, ViewFunction

LENGTH_BYTES: Final = 4


class Code(msgspec.Struct, frozen=True, array_like=True):
    """A repository.

    Attributes:
        label: what file names in its errors begin with.
        files: its texts by path.
        condemned: why modules, by dotted name, are not to be run.
        views: keys of the views that run from it.
    """

    label: str
    files: dict[str, str]
    condemned: dict[str, str]
    views: list[str]


class Run(msgspec.Struct, frozen=True, array_like=True):
    """A record to transform.

    Attributes:
        plan: encoded.
        number: the plan's.
        source: name of the record's source.
        failed: why views do not run here, by key.
        record: its fields.
        writers: the text of each schema that it may name, by id; None where the registry has no such id.
    """

    plan: bytes
    number: int
    source: str
    failed: dict[str, str]
    record: tuple[int, int, int, bytes, ReplyAddress | None]
    writers: dict[str, str | None]


class Task(msgspec.Struct, frozen=True, array_like=True):
    """What the child is to do; without ``run`` it ends when the code is loaded."""

    code: list[Code]
    run: Run | None


class Step(msgspec.Struct, frozen=True, array_like=True, tag="step"):
    """A module ``begins`` or ``ends`` to run."""

    event: str
    module: str


class Ready(msgspec.Struct, frozen=True, array_like=True, tag="ready"):
    """All is loaded: the keys of the views that load (of a run's, those that it needs), and why modules failed."""

    views: list[str]
    failures: dict[str, str]


class Result(msgspec.Struct, frozen=True, array_like=True, tag="result"):
    """What the record became."""

    updates: list[tuple[int, bytes]]
    rejects: list[tuple[Problem, ...]]
    acks: dict[int, list[Ack]]
    rows: int
    dropped: dict[str, int]


Answer = Step | Ready | Result


def _work(task: Task, say: Callable[[Answer], None]) -> None:
    functions: dict[str, ViewFunction] = {}
    failures: dict[str, str] = {}
    loads: list[str] = []
    for code in task.code:
        loaded = load_views(code.files, code.label, code.condemned, lambda event, module: say(Step(event, module)))
        loads += loaded.functions()
        functions |= {key: function for key, function in loaded.functions().items() if key in code.views}
        failures |= loaded.failures
    if task.run is None:
        say(Ready(loads, failures))
        return
    run = task.run
    plan = decode_plan(run.number, run.plan)
    source = plan.read_sources()[run.source]
    writers: dict[int, Any] = {int(i): None if text is None else avro.parse(text) for i, text in run.writers.items()}
    absent = {key: "" for key in plan.folded_views() if key not in functions}
    transform = SourceTransform(plan, source, functions, absent | run.failed)
    say(Ready(list(functions), failures))
    if (
        transform.failed.keys() <= run.failed.keys()
    ):  # else the parent has read that the code came not as far as it did there
        limit_growth(RECORD_MEMORY_BYTES)
        outcome = transform([SourceRecord(*run.record)], writers)
        rejects = [reject.problems for reject in outcome.rejects]
        say(Result(outcome.updates, rejects, outcome.acks, outcome.rows, outcome.dropped))


if __name__ == "__main__":
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what user code prints must not mix with the answers

        def _say(answer: Answer) -> None:
            data = msgspec.msgpack.encode(answer)
            answers.write(len(data).to_bytes(LENGTH_BYTES, "little") + data)
            answers.flush()

        limit_data(max(LOADING_MEMORY_BYTES, host_memory() // 2))
        _work(msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Task), _say)
