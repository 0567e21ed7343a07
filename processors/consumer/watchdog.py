"""Ends a process whose partition stands still while records wait, or one of whose threads gives no sign of life.

A stuck process helps nobody, a restart may. Partitions are known to the thread that reads Kafka alone: if that hangs,
nobody else knows of records that wait, so it is watched for itself, whether or not there are any.

Invariant: it needs nothing of what it watches: it is a thread of its own, so an endless loop in a view's function,
which stops the event loop, does not stop it. Time for which the process was suspended does not count.
"""

import os
import threading
from collections.abc import Callable, Hashable, Mapping
from typing import Final, Generic, TypeVar

from infra.logs import get_logger
from infra.process.exit_codes import ExitCode
from infra.process.running_clock import RunningClock

CHECK_SECONDS: Final = 1.0
LONGEST_STEP_SECONDS: Final = 3.0  # between two checks of a process that runs, on a busy machine too
SILENCE_SECONDS: Final = (
    60.0  # of a thread; what it may wait for at once is bounded by 15 s (``partitions.FENCE_SECONDS``)
)

Progress = Mapping[tuple[str, int], tuple[int, int]]
"""By topic and partition: (next offset, lag in records)."""

Key = TypeVar("Key", bound=Hashable)

_log = get_logger(__name__)


class StallDetector(Generic[Key]):
    """Decides which partitions, or threads, are stuck; the clock is a parameter.

    Args:
        limit: seconds without progress, while there is lag, that count as stuck.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._seen: dict[Key, tuple[int, float]] = {}

    def observe(self, progress: Mapping[Key, tuple[int, int]], now: float) -> dict[Key, float]:
        """Takes a look at all of them; returns how long each one that has lag has stood still, in seconds."""
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

    def stuck(self, still: Mapping[Key, float]) -> list[Key]:
        """Returns those that have stood still for too long."""
        return [where for where, seconds in still.items() if seconds >= self._limit]


class Watchdog:
    """A thread that looks at progress once a second.

    Args:
        progress: returns the state of all owned partitions; must not block.
        limit: seconds of standing still after which the process exits; readiness drops at half of it.
        beats: returns for each thread, by name, a number that the thread raises as it goes round; must not block.
        silence: seconds without a beat after which the process exits; readiness drops at half of it.
    """

    def __init__(
        self,
        progress: Callable[[], Progress],
        limit: float,
        *,
        beats: Callable[[], Mapping[str, int]] = dict,
        silence: float = SILENCE_SECONDS,
    ) -> None:
        self._progress = progress
        self._beats = beats
        self._limit = limit
        self._silence = silence
        self._partitions = StallDetector[tuple[str, int]](limit)
        self._threads = StallDetector[str](silence)
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
        clock = RunningClock(LONGEST_STEP_SECONDS)
        while not self._quit.wait(CHECK_SECONDS):
            now = clock.now()
            still = self._partitions.observe(self._progress(), now)
            silent = self._threads.observe({name: (beats, 1) for name, beats in self._beats().items()}, now)
            slow = [f"{topic}[{p}] for {s:.0f} s" for (topic, p), s in still.items() if s >= self._limit / 2]
            slow += [f"thread {name} for {s:.0f} s" for name, s in silent.items() if s >= self._silence / 2]
            self.problem = f"no progress: {', '.join(slow)}" if slow else None
            if self._partitions.stuck(still) or self._threads.stuck(silent):
                _log.error("no progress, process ends", stuck=slow, limit_seconds=self._limit)
                os._exit(ExitCode.STUCK)
