"""The program of a child process that loads a plan's code and transforms with it the records that it is given.

Invariant: what it says is said before the next thing can kill it: each module before and after it runs, ``Ready``
before the first record, ``Result`` after each. So the parent knows what it died of, whatever that was.

Input: a ``Task``, then a ``Run`` for each record, until the end of stdin. Output: an ``Answer`` each. All are frames of
a length (u32, little-endian) and MessagePack.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, Final

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
        source: name of the record's source.
        record: its fields.
        writers: the text of each schema that it may name, by id; None where the registry has no such id.
    """

    source: str
    record: tuple[int, int, int, bytes, ReplyAddress | None]
    writers: dict[str, str | None]


class Task(msgspec.Struct, frozen=True, array_like=True):
    """What the child is to do.

    Attributes:
        code: to be loaded.
        plan: encoded, whose records it is to transform; without one it ends when the code is loaded.
        number: the plan's.
        failed: why views are not to run, by key.
    """

    code: list[Code]
    plan: bytes | None = None
    number: int = 0
    failed: dict[str, str] = {}


class Step(msgspec.Struct, frozen=True, array_like=True, tag="step"):
    """A module ``begins`` or ``ends`` to run."""

    event: str
    module: str


class Ready(msgspec.Struct, frozen=True, array_like=True, tag="ready"):
    """All is loaded: the keys of the views that load (with a plan, of those that it needs), and why modules failed."""

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


def _work(task: Task, runs: Iterable[Run], say: Callable[[Answer], None]) -> None:
    functions: dict[str, ViewFunction] = {}
    failures: dict[str, str] = {}
    loads: list[str] = []
    for code in task.code:
        loaded = load_views(code.files, code.label, code.condemned, lambda event, module: say(Step(event, module)))
        loads += loaded.functions()
        functions |= {key: function for key, function in loaded.functions().items() if key in code.views}
        failures |= loaded.failures
    if task.plan is None:
        say(Ready(loads, failures))
        return
    plan = decode_plan(task.number, task.plan)
    failed = {key: "" for key in plan.folded_views() if key not in functions} | task.failed
    transforms: dict[str, SourceTransform] = {}
    say(Ready(list(functions), failures))
    for run in runs:
        transform = transforms.get(run.source)
        if transform is None:
            transform = SourceTransform(plan, plan.read_sources()[run.source], functions, failed)
            transforms[run.source] = transform
        if not transform.failed.keys() <= task.failed.keys():
            return  # the parent has read that the code came not as far as it thinks
        writers: dict[int, Any] = {
            int(i): None if text is None else avro.parse(text) for i, text in run.writers.items()
        }
        limit_growth(RECORD_MEMORY_BYTES)
        outcome = transform([SourceRecord(*run.record)], writers)
        rejects = [reject.problems for reject in outcome.rejects]
        say(Result(outcome.updates, rejects, outcome.acks, outcome.rows, outcome.dropped))


def _frames(stream: BinaryIO) -> Iterator[bytes]:
    while head := stream.read(LENGTH_BYTES):
        yield stream.read(int.from_bytes(head, "little"))


def framed(message: msgspec.Struct) -> bytes:
    """Returns a message as both ends write it."""
    data = msgspec.msgpack.encode(message)
    return len(data).to_bytes(LENGTH_BYTES, "little") + data


def _main() -> None:
    # What user code prints must not mix with the answers, and what it reads is not what comes next.
    tasks = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    process = os.getpid()

    def say(answer: Answer) -> None:
        if os.getpid() != process:  # a copy that user code forked: its answers would be taken for those of what follows
            os._exit(0)
        answers.write(framed(answer))
        answers.flush()

    with tasks, answers:
        limit_data(max(LOADING_MEMORY_BYTES, host_memory() // 2))
        frames = _frames(tasks)
        task = msgspec.msgpack.decode(next(frames), type=Task)
        _work(task, (msgspec.msgpack.decode(frame, type=Run) for frame in frames), say)


if __name__ == "__main__":
    _main()
