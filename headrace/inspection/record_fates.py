"""What became of each record of a source, put together from what processors wrote of it. No I/O.

What is known of a record comes from three places, in any order: its rows are in the updates topic, its problems in its
dead letter, and the offset that the transform group has committed tells that both are complete: it is committed when
all that the records before it became is in Kafka (docs/design.md §2).

Invariant: a view is said to have dropped a record only when the record has been passed and everything that was in both
topics then has been read. Memory is bounded by ``MAX_OPEN``, and by the rows that a record may become.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from headrace.inspection.dead_letters import DeadLetter, ViewProblem
from headrace.inspection.newest import StoredRecord
from headrace.inspection.words import counted
from schemas.definitions.plan import ViewPlan
from schemas.messages.updates import Update
from schemas.records.lateness import is_future, is_late

MAX_OPEN: Final = 10_000
"""Records that are waited for, and records of which something is known before they are read."""

PATIENCE_SECONDS: Final = 1.0
"""After which a record is shown as far as its fate is known."""

HISTORY_SECONDS: Final = 10.0
"""The same, until all that was in the topics at first has been read."""

Place = tuple[int, int]
"""Source partition and offset."""

TopicPartition = tuple[str, int]


class Kind(StrEnum):
    """What became of a record for one view."""

    ROWS = "rows"
    LATE = "late"
    DROPPED = "dropped"
    DEAD_LETTER = "dead letter"
    EARLIER = "before the view"
    PENDING = "pending"
    UNREAD = "not known"


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a record for one view.

    Attributes:
        kind: late if all its rows are.
        rows: how many there are.
        late: how many of them are late.
        future: how many of them are later than when Kafka took the record.
        code: of a dead letter's problem.
        text: of that problem.
        is_final: whether nothing more is to come.
    """

    kind: Kind
    rows: int = 0
    late: int = 0
    future: int = 0
    code: str = ""
    text: str = ""
    is_final: bool = True

    def __str__(self) -> str:
        """Returns it as people read it."""
        match self.kind:
            case Kind.ROWS | Kind.LATE:
                rows = counted(self.rows, "row")
                if self.late:
                    rows = "late" if self.late == self.rows == 1 else f"{rows}, {self.late} late"
                if self.future:
                    return (
                        f"{rows}, in the future" if self.future == self.rows else f"{rows}, {self.future} in the future"
                    )
                return rows
            case Kind.DEAD_LETTER:
                return f"{self.code}: {self.text}"
            case _:
                return str(self.kind)


class ShownView(NamedTuple):
    """A view, and when its definition was published, ms since the epoch; 0 where that is not known."""

    plan: ViewPlan
    published: int


class Shown(NamedTuple):
    """A record that is to be shown now; ``is_again``: what was not known when it was shown before."""

    record: StoredRecord
    fates: Mapping[str, Fate]
    is_again: bool


@dataclass(slots=True)
class _Facts:
    """``rows``: event time and append time by view id and index of the row; ``problems``: by view key."""

    rows: dict[int, dict[int, tuple[int, int]]] = field(default_factory=dict)
    problems: dict[str, ViewProblem] = field(default_factory=dict)


@dataclass(slots=True)
class _Open:
    record: StoredRecord
    views: Sequence[ShownView]
    since: float
    told: dict[str, str] | None = None  # what was shown of it, by view key

    @property
    def is_shown(self) -> bool:
        return self.told is not None


class RecordFates:
    """The records of a source that are shown, until the fate of each is known.

    Args:
        ends: of each partition, the offset from which on all records are of interest; of those before only the ones
            that are given.
    """

    def __init__(self, ends: Mapping[int, int]) -> None:
        self._ends = ends
        self._open: dict[Place, _Open] = {}
        self._facts: dict[Place, _Facts] = {}  # of records that are waited for
        self._early: dict[Place, _Facts] = {}  # of records that are still to come
        self._forgotten: dict[int, int] = {}  # by partition, before which offset facts that came early may be gone
        self._read: dict[TopicPartition, int] = {}
        self._asked: tuple[Mapping[int, int], Mapping[TopicPartition, int]] | None = None
        self._committed: dict[int, int] = {}
        self._passed: dict[int, int] = {}
        self._has_settled = False

    @property
    def is_waiting(self) -> bool:
        """Whether the fate of some record is not known yet."""
        return bool(self._open)

    @property
    def has_settled(self) -> bool:
        """Whether all that was told at some time was read."""
        return self._has_settled

    @property
    def is_asking(self) -> bool:
        """Whether what was told last (``told``) is not read yet; asking again would be for nothing."""
        return self._asked is not None

    def take_record(self, record: StoredRecord, views: Sequence[ShownView], now: float) -> None:
        """Takes a record that is to be shown, and the views of its source; it waits from ``now``, in seconds."""
        place = record.partition, record.offset
        self._open[place] = _Open(record, views, now)
        if (early := self._early.pop(place, None)) is not None:
            self._facts[place] = early

    def take_update(self, update: Update) -> None:
        """Takes what the updates topic says: rows of one view."""
        for row in update.rows:
            facts = self._of((update.source_partition, row.offset))
            if facts is not None:
                facts.rows.setdefault(update.view, {})[row.index] = (row.event_time, row.append_time)

    def take_dead_letter(self, letter: DeadLetter) -> None:
        """Takes what the dead-letter topic says: why views have no rows."""
        facts = self._of((letter.partition, letter.offset))
        if facts is not None:
            facts.problems.update((problem.view, problem) for problem in letter.problems)

    def told(self, committed: Mapping[int, int], ends: Mapping[TopicPartition, int]) -> None:
        """Takes what Kafka tells.

        Args:
            committed: the offsets of the transform group by source partition, asked for first.
            ends: the ends of the updates and dead-letter topics, asked for afterwards.
        """
        self._committed.update(committed)
        self._asked = (committed, ends)
        self._settle()

    def read_to(self, where: TopicPartition, offset: int) -> None:
        """Takes how far a partition of the updates or dead-letter topic has been read: to before this offset."""
        self._read[where] = offset
        self._settle()

    def due(self, now: float) -> Iterator[Shown]:
        """Yields what is to be shown now: what is final, and once what has waited for long.

        A record is shown for the first time in the order of coming.
        """
        patience = PATIENCE_SECONDS if self._has_settled else HISTORY_SECONDS
        is_held = False  # by an earlier one that is to be shown first
        for place, each in list(self._open.items()):
            fates = self._fates(each)
            is_final = all(fate.is_final for fate in fates.values())
            has_waited = now - each.since >= patience or len(self._open) > MAX_OPEN
            is_held |= not (each.is_shown or is_final or has_waited)
            if each.is_shown and not is_final and len(self._open) <= MAX_OPEN:
                continue
            if is_held and not each.is_shown:
                continue
            told = {view: str(fate) for view, fate in fates.items()}
            if told != each.told:
                yield Shown(each.record, fates, each.is_shown)
            each.told = told
            if is_final or len(self._open) > MAX_OPEN:
                del self._open[place]
                self._facts.pop(place, None)

    def rest(self) -> Iterator[Shown]:
        """Yields what has not been shown, as far as it is known."""
        for each in self._open.values():
            if not each.is_shown:
                yield Shown(each.record, self._fates(each), is_again=False)

    def _of(self, place: Place) -> _Facts | None:
        """Returns where facts of a record are kept; None of one that is not shown."""
        partition, offset = place
        if place in self._open:
            return self._facts.setdefault(place, _Facts())
        if offset < self._ends.get(partition, 0):
            return None
        facts = self._early.setdefault(place, _Facts())
        if len(self._early) > MAX_OPEN:
            partition, offset = next(iter(self._early))
            del self._early[partition, offset]
            self._forgotten[partition] = max(offset + 1, self._forgotten.get(partition, 0))
        return facts

    def _settle(self) -> None:
        if self._asked is None:
            return
        committed, ends = self._asked
        if all(self._read.get(where, 0) >= end for where, end in ends.items()):
            self._passed.update(committed)
            self._asked = None
            self._has_settled = True

    def _fates(self, each: _Open) -> dict[str, Fate]:
        place = each.record.partition, each.record.offset
        facts = self._facts.get(place) or _Facts()
        return {view.plan.key: self._fate(view, each.record, facts) for view in each.views}

    def _fate(self, view: ShownView, record: StoredRecord, facts: _Facts) -> Fate:
        is_passed = self._passed.get(record.partition, 0) > record.offset
        problem = facts.problems.get(view.plan.key) or facts.problems.get("")
        if problem is not None:
            return Fate(Kind.DEAD_LETTER, code=problem.code, text=problem.text)
        rows = facts.rows.get(view.plan.id)
        if rows:
            late = sum(is_late(view.plan, *times) for times in rows.values())
            future = sum(is_future(view.plan, *times) for times in rows.values())
            # Rows of one record may be in several messages: there may be more until all of them were read.
            kind = Kind.LATE if late == len(rows) else Kind.ROWS
            return Fate(kind, len(rows), late, future, is_final=is_passed)
        if is_passed and record.offset < self._forgotten.get(record.partition, 0):
            return Fate(Kind.UNREAD)
        if is_passed:
            return Fate(Kind.EARLIER if record.time < view.published else Kind.DROPPED)
        is_committed = self._committed.get(record.partition, 0) > record.offset
        return Fate(Kind.UNREAD if is_committed else Kind.PENDING, is_final=False)
