"""Ends a process whose partition stands still while records wait: a stuck process helps nobody, a restart may.

Invariant: it needs nothing of what it watches: it is a thread of its own, so an endless loop in a view's function,
which stops the event loop, does not stop it.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from infra.exit_codes import ExitCode
from infra.logs import get_logger

CHECK_SECONDS: Final = 1.0

Progress = Mapping[tuple[str, int], tuple[int, int]]
"""By topic and partition: (next offset, lag in records)."""

_log = get_logger(__name__)


class StallDetector:
    """Decides which partitions are stuck; the clock is a parameter.

    Args:
        limit: seconds without progress, while there is lag, that count as stuck.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._seen: dict[tuple[str, int], tuple[int, float]] = {}

    def observe(self, progress: Progress, now: float) -> dict[tuple[str, int], float]:
        """Takes a look at all partitions; returns how long each one that has lag has stood still, in seconds."""
        for where in self._seen.keys() - progress.keys():
            del self._seen[where]
        still = {}
        for where, (offset, lag) in progress.items():
            known = self._seen.get(where)
            if known is None or known[0] != offset or lag == 0:
                self._seen[where] = (offset, now)
            elif now > known[1]:
                still[where] = now - known[1]
        return still

    def stuck(self, still: Mapping[tuple[str, int], float]) -> list[tuple[str, int]]:
        """Returns the partitions that have stood still for too long."""
        return [where for where, seconds in still.items() if seconds >= self._limit]


class Watchdog:
    """A thread that looks at progress once a second.

    Args:
        progress: returns the state of all owned partitions; must not block.
        limit: seconds of standing still after which the process exits; readiness drops at half of it.
    """

    def __init__(self, progress: Callable[[], Progress], limit: float) -> None:
        self._progress = progress
        self._limit = limit
        self._detector = StallDetector(limit)
        self._quit = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self.problem: str | None = None

    def start(self) -> None:
        """Begins to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._quit.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._quit.wait(CHECK_SECONDS):
            still = self._detector.observe(self._progress(), time.monotonic())
            slow = [f"{topic}[{p}] for {s:.0f} s" for (topic, p), s in still.items() if s >= self._limit / 2]
            self.problem = f"no progress: {', '.join(slow)}" if slow else None
            if self._detector.stuck(still):
                _log.error("partition stands still, process ends", partitions=slow, limit_seconds=self._limit)
                os._exit(ExitCode.STUCK)
