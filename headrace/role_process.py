"""Turns a process into one role: title, logs, event loop, signals, exit code.

Invariant: SIGTERM and SIGINT cancel the role's task, and nothing else stops it from outside; a role that was asked to
stop exits with 0.
"""

import asyncio
import gc
import pkgutil
import sys
from collections.abc import Callable, Coroutine
from typing import Final, NoReturn

import setproctitle
import uvloop

from infra.logs import configure_logs, get_logger
from infra.process.exit_codes import exit_code_of
from infra.process.startup import until_stopped
from infra.settings import Settings
from schemas.errors import HeadraceError

GC_THRESHOLDS: Final = (50_000, 20, 50)
"""Far apart, since batches make many objects that die by themselves: saves 5.6 of 43 µs an event (`bench core`)."""

Entry = Callable[[Settings], Coroutine[None, None, int]]


def run_role(role: str, entry: str, settings: Settings) -> NoReturn:
    """Runs a role until it ends, then exits the process.

    Args:
        role: name of the command, shown as the process's title and in its logs.
        entry: ``module:function`` of the role's coroutine; it returns the exit code.
        settings: passed to the entry.
    """
    setproctitle.setproctitle(f"headrace {role}")
    configure_logs(role, settings.log_level, settings.log_format)
    log = get_logger(__name__)
    try:
        run: Entry = pkgutil.resolve_name(entry)
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            sys.exit(runner.run(until_stopped(run(settings))))
    except HeadraceError as error:
        log.error("role ends", code=error.code, reason=error.message)  # noqa: TRY400 - the message is for operators
        sys.exit(exit_code_of(error))
