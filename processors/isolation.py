"""Running one record's transform in a child process, for records that were in flight when the process died.

Invariant: whatever the record does to the child (endless loop, memory, a crash in native code), this process lives and
the record ends as rows or as a reject.

Protocol: MessagePack on stdin (plan as JSON, plan number, source, record, writer schemas), MessagePack on stdout.
"""

import asyncio
import resource
import sys
from asyncio.subprocess import PIPE
from typing import Any, Final

import msgspec

from schemas import avro
from schemas.plan import Plan, decode_plan, encode
from schemas.repository import load_repository
from schemas.transform import Reject, SourceRecord, SourceTransform, Transformation
from schemas.updates import Ack, Reply

TIME_LIMIT_SECONDS: Final = 30.0
MEMORY_LIMIT_BYTES: Final = 2 * 1024**3
KILLED: Final = "UDF_EXECUTION_FAILED"

Task = tuple[bytes, int, str, tuple[int, int, int, bytes, Reply | None], dict[str, str | None]]
Result = tuple[list[tuple[int, bytes]], list[tuple[str, str, str]], dict[int, list[Ack]], int]


def transform_of(plan: Plan, source: str) -> SourceTransform:
    """Returns the compiled transform of one source, with the functions of the plan's own files.

    Raises:
        DefinitionError: the files do not load here as they did at apply.
    """
    repository = load_repository(plan.files, f"plan-{plan.number}")
    functions = {f"{name}@{version}": view.function for (name, version), view in repository.views.items()}
    return SourceTransform(plan, plan.sources[source], functions)


async def transform_isolated(
    transform: SourceTransform, record: SourceRecord, writers: dict[int, str | None]
) -> Transformation:
    """Transforms one record in a child process.

    Args:
        transform: says which plan and source.
        record: the record.
        writers: the text of each schema that the record may name, by id.
    """
    task: Task = (
        encode(transform.plan),
        transform.plan.number,
        transform.source.name,
        (record.partition, record.offset, record.append_time, record.value, record.reply),
        {str(schema_id): text for schema_id, text in writers.items()},
    )
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", __name__, stdin=PIPE, stdout=PIPE)
    try:
        output, _ = await asyncio.wait_for(child.communicate(msgspec.msgpack.encode(task)), TIME_LIMIT_SECONDS)
        problem = f"the process that ran this record alone ended with status {child.returncode}"
    except TimeoutError:
        child.kill()
        await child.wait()
        output, problem = b"", f"the process that ran this record alone did not end within {TIME_LIMIT_SECONDS:g} s"
    if child.returncode == 0 and output:
        updates, rejects, acks, rows = msgspec.msgpack.decode(output, type=Result)
        found = [Reject(record, code, message, view) for code, message, view in rejects]
        return Transformation(updates, found, acks, rows)
    return transform.refuse(record, KILLED, problem)


def _run(task: Task) -> Result:
    plan, number, source, fields, schemas = task
    transform = transform_of(decode_plan(number, plan), source)
    writers: dict[int, Any] = {int(i): None if text is None else avro.parse(text) for i, text in schemas.items()}
    outcome = transform([SourceRecord(*fields)], writers)
    rejects = [(reject.code, reject.message, reject.view) for reject in outcome.rejects]
    return outcome.updates, rejects, outcome.acks, outcome.rows


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    stdout = sys.stdout
    sys.stdout = sys.stderr  # what user code prints must not mix with the answer
    answer = _run(msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Task))
    stdout.buffer.write(msgspec.msgpack.encode(answer))
