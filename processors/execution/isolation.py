"""Running one record's transform in a child process, for records that were in flight when the process died.

Invariant: the record is condemned only by what happened while its functions ran on it. A child that does not come so
far condemns nobody: it is started again, and at last the record is set aside with a code that says so.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from infra.logs import get_logger
from infra.user_code.child import Code, Run, Task
from infra.user_code.process import ChildFailedError, NotPreparedError, code_process
from schemas.definitions.plan_codec import encode
from schemas.errors import FUNCTION_FAILED, VIEW_FAILED
from schemas.limits import MODULE_LOADING_SECONDS
from schemas.records.transform import Reject, SourceRecord, SourceTransform, Transformation

PAUSES_SECONDS: Final = (0.5, 2.0, 5.0)  # before a child is tried again that could not be prepared

_log = get_logger(__name__)


async def transform_isolated(
    transform: SourceTransform,
    code: Sequence[Code],
    record: SourceRecord,
    writers: Mapping[int, str | None],
    *,
    time_limit: float,
    pauses: Sequence[float] = PAUSES_SECONDS,
) -> Transformation:
    """Transforms one record in a child process.

    Args:
        transform: says which plan and source, and which views do not load here.
        code: what its views run from, as it was loaded here.
        record: the record.
        writers: the text of each schema that the record may name, by id.
        time_limit: seconds that the functions may take; a child that takes longer is killed.
        pauses: seconds before each further attempt to prepare a child.
    """
    run = Run(
        transform.source.name,
        (record.partition, record.offset, record.append_time, record.value, record.reply),
        {str(schema_id): text for schema_id, text in writers.items()},
    )
    task = Task(list(code), encode(transform.plan), transform.plan.number, dict(transform.failed))
    for pause in (*pauses, None):
        try:
            return await _transformed(transform, task, run, record, time_limit)
        except NotPreparedError as error:
            problem = f"the process to run this record alone could not be prepared: {error}"
            _log.warning("record cannot run alone", problem=problem, tried_again_in_seconds=pause)
        if pause is not None:
            await asyncio.sleep(pause)
    return transform.refuse(record, VIEW_FAILED, problem)


async def _transformed(
    transform: SourceTransform, task: Task, run: Run, record: SourceRecord, time_limit: float
) -> Transformation:
    async with code_process(task) as child:
        ready = await child.prepared(MODULE_LOADING_SECONDS)
        missing = sorted(transform.running - set(ready.views))
        if missing:
            problems = "; ".join(dict.fromkeys(ready.failures.values()))
            raise NotPreparedError(f"views {', '.join(missing)} do not load there: {problems}", None)
        try:
            result = await child.run(run, time_limit)
        except ChildFailedError as error:
            return transform.refuse(record, FUNCTION_FAILED, f"the process that ran this record alone {error}")
    rejects = [Reject(record, problems) for problems in result.rejects]
    return Transformation(result.updates, rejects, result.acks, result.rows, result.dropped)
