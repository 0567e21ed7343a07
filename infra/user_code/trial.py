"""Trying a repository's code in a child process, before this process runs any of it.

Invariant: a module that hangs or kills does so in a child alone, and is found out by name; after at most one child for
each module, every module is known to load or not to.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from infra.logs import get_logger
from infra.user_code.child import Code, Task
from infra.user_code.process import NotPreparedError, code_process
from schemas.definitions.repository import module_texts

PAUSES_SECONDS: Final = (0.5, 2.0, 5.0)  # before a child is tried again that ran no module

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it: the keys of the views that load, and why modules do not, by dotted name."""

    views: frozenset[str]
    failures: Mapping[str, str]


async def try_code(
    label: str, files: dict[str, str], *, module_seconds: float, pauses: Sequence[float] = PAUSES_SECONDS
) -> Trial:
    """Loads a repository in child processes.

    Args:
        label: what file names in its errors begin with.
        files: its texts by path.
        module_seconds: that each may take to load.
        pauses: seconds before each further attempt to have a child run a module at all.
    """
    condemned: dict[str, str] = {}
    attempts = iter((*pauses, None))
    while True:
        task = Task([Code(label, files, condemned, [])])
        try:
            async with code_process(task) as child:
                ready = await child.prepared(module_seconds)
            return Trial(frozenset(ready.views), ready.failures)
        except NotPreparedError as error:
            problem = f"{label}: {error}"
            if error.module is not None and error.module not in condemned:
                condemned[error.module] = f"{problem} while module {error.module!r} was loaded"
                _log.warning("module condemned", module=error.module, problem=problem)
                continue
        pause = next(attempts)
        _log.warning("code could not be tried", problem=problem, tried_again_in_seconds=pause)
        if pause is None:
            return Trial(frozenset(), {**dict.fromkeys(module_texts(files), problem), **condemned})
        await asyncio.sleep(pause)
