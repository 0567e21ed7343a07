"""The processes of a running system, for the benchmarks and tests, which measure and kill them; the demo needs none."""

from contextlib import suppress

import psutil

from examples.running import System


def processes_of(system: System, role: str) -> list[psutil.Process]:
    """Returns the live processes of a role, oldest first; of the role ``java``, the broker's JVM."""
    found: list[tuple[float, psutil.Process]] = []
    for process in psutil.Process(system.pid).children(recursive=True):
        with suppress(psutil.Error):  # it ended meanwhile
            if process.status() != psutil.STATUS_ZOMBIE and _has_role(process, role):
                found.append((process.create_time(), process))
    return [process for _, process in sorted(found, key=lambda pair: pair[0])]


def _has_role(process: psutil.Process, role: str) -> bool:
    return "java" in process.name() if role == "java" else f"headrace {role}" in " ".join(process.cmdline())
