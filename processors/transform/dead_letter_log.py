"""What a processor's log says of dead letters: the first of each kind at once, then sums.

A kind is a source and a code. Invariant: of one kind at most one line is written in ``QUIET_SECONDS``, and each dead
letter is in a line or will be, unless the process is killed: it is told by itself, or counted in the next sum, whose
text is that of the last one.
Memory is bounded by ``MAX_KINDS``, whatever becomes of sources and workspaces.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from infra.logs import get_logger
from schemas.records.transform import Problem, Reject, SourceRecord

QUIET_SECONDS: Final = 60.0
MAX_KINDS: Final = 1_000

ONE: Final = "dead letter"
MORE: Final = "more dead letters"

Warn = Callable[[str, Mapping[str, object]], None]
"""Writes a line: what happened, and fields."""

_log = get_logger(__name__)


def _warn(event: str, fields: Mapping[str, object]) -> None:
    _log.warning(event, **fields)


@dataclass(slots=True)
class _Kind:
    """``more``: how many were not told yet; ``last``: the fields of the newest of them."""

    told_at: float
    more: int
    last: Mapping[str, object]


class DeadLetterLog:
    """The dead letters of a process. Not for use by several threads at once.

    Args:
        warn: writes a line; None for this process's log.
        clock: in seconds; never goes back.
    """

    def __init__(self, warn: Warn = _warn, clock: Callable[[], float] = time.monotonic) -> None:
        self._warn = warn
        self._clock = clock
        self._kinds: dict[tuple[str, str, str], _Kind] = {}  # the one whose line is oldest comes first

    def take(self, workspace: str, source: str, rejects: Sequence[Reject]) -> None:
        """Tells or counts the dead letters of some records, under each code that they have."""
        for record, problems in rejects:
            for problem in {each.code: each for each in reversed(problems)}.values():  # the first of each code
                self._take((workspace, source, problem.code), _fields(workspace, source, record, problem))

    def tell(self) -> None:
        """Writes the sums that are due; to be called about once a second."""
        now = self._clock()
        for name, kind in list(self._kinds.items()):
            if now - kind.told_at < QUIET_SECONDS:
                return  # the others' lines are younger
            if kind.more:
                self._tell(name, kind, now)

    def close(self) -> None:
        """Writes all sums, due or not: the process ends."""
        for kind in self._kinds.values():
            if kind.more:
                self._warn(MORE, {"more": kind.more, **kind.last})
        self._kinds.clear()

    def _take(self, name: tuple[str, str, str], fields: Mapping[str, object]) -> None:
        now = self._clock()
        kind = self._kinds.get(name)
        if kind is None or (not kind.more and now - kind.told_at >= QUIET_SECONDS):
            self._warn(ONE, fields)
            self._put(name, _Kind(now, 0, fields))
            return
        kind.more += 1
        kind.last = fields
        if now - kind.told_at >= QUIET_SECONDS:
            self._tell(name, kind, now)

    def _tell(self, name: tuple[str, str, str], kind: _Kind, now: float) -> None:
        self._warn(MORE, {"more": kind.more, **kind.last})
        self._put(name, _Kind(now, 0, kind.last))

    def _put(self, name: tuple[str, str, str], kind: _Kind) -> None:
        self._kinds.pop(name, None)
        self._kinds[name] = kind
        if len(self._kinds) > MAX_KINDS:
            oldest = self._kinds.pop(next(iter(self._kinds)))
            if oldest.more:
                self._warn(MORE, {"more": oldest.more, **oldest.last})


def _fields(workspace: str, source: str, record: SourceRecord, problem: Problem) -> dict[str, object]:
    return {
        "workspace": workspace,
        "source": source,
        "code": problem.code,
        "view": problem.view,
        "partition": record.partition,
        "offset": record.offset,
        "problem": " ".join(problem.message.splitlines()),
    }
