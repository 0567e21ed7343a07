"""Running one record's transform in a child process, for records that were in flight when the process died.

Invariant: whatever the record does to the child (endless loop, memory, a crash in native code), this process lives and
the record ends as rows or as a reject; and the child ends with the call, or with this process.

Protocol: MessagePack on stdin (plan as JSON, plan number, source, record, writer schemas), MessagePack on stdout.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from infra.memory_limit import limit_memory
from infra.parent_death import PYTHON, tied_to_parent
from processors.view_functions import load_functions
from schemas import avro
from schemas.plan import Plan, decode_plan, encode
from schemas.rows import FUNCTION_FAILED
from schemas.transform import Problem, Reject, SourceRecord, SourceTransform, Transformation
from schemas.updates import Ack, Reply

MEMORY_LIMIT_BYTES: Final = 2 * 1024**3

Task = tuple[bytes, int, str, tuple[int, int, int, bytes, Reply | None], dict[str, str | None]]
Result = tuple[list[tuple[int, bytes]], list[tuple[Problem, ...]], dict[int, list[Ack]], int]


async def transform_isolated(
    transform: SourceTransform,
    record: SourceRecord,
    writers: Mapping[int, str | None],
    time_limit: float,
) -> Transformation:
    """Transforms one record in a child process.

    Args:
        transform: says which plan and source.
        record: the record.
        writers: the text of each schema that the record may name, by id.
        time_limit: seconds, after which the child is killed.
    """
    task: Task = (
        encode(transform.plan),
        transform.plan.number,
        transform.source.name,
        (record.partition, record.offset, record.append_time, record.value, record.reply),
        {str(schema_id): text for schema_id, text in writers.items()},
    )
    command = tied_to_parent([*PYTHON, "-m", __name__])
    child = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    output = b""
    try:
        output, _ = await asyncio.wait_for(child.communicate(msgspec.msgpack.encode(task)), time_limit)
        problem = f"the process that ran this record alone ended with {_described(await child.wait())}"
    except TimeoutError:
        problem = f"the process that ran this record alone did not end within {time_limit:g} s"
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        return transform.refuse(record, FUNCTION_FAILED, problem)
    try:
        updates, rejects, acks, rows = msgspec.msgpack.decode(output, type=Result)
    except msgspec.DecodeError:  # the function ended the child, or wrote where the answer goes
        return transform.refuse(record, FUNCTION_FAILED, f"{problem} and without an answer")
    return Transformation(updates, [Reject(record, problems) for problems in rejects], acks, rows)


def transform_of(plan: Plan, source: str) -> SourceTransform:
    """Returns the compiled transform of one source, with the functions of the plan's own files.

    Raises:
        DefinitionError: the files do not load here as they did at apply.
    """
    return SourceTransform(plan, plan.read_sources()[source], load_functions(plan))


def _described(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def _run(task: Task) -> Result:
    number, source, fields, schemas = task[1:]
    transform = transform_of(decode_plan(number, task[0]), source)
    writers: dict[int, Any] = {int(i): None if text is None else avro.parse(text) for i, text in schemas.items()}
    outcome = transform([SourceRecord(*fields)], writers)
    rejects = [reject.problems for reject in outcome.rejects]
    return outcome.updates, rejects, outcome.acks, outcome.rows


if __name__ == "__main__":
    limit_memory(MEMORY_LIMIT_BYTES)
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what user code prints must not mix with the answer
        answers.write(msgspec.msgpack.encode(_run(msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Task))))
