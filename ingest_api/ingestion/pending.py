"""Requests that wait for the answers to their records: who still owes what, and when waiting ends. Sans-IO.

A record is done when

1. transform said where its rows went (`Transformed`) and every one of those places answered (`Written`), in any order,
   or it has no views and Kafka confirmed it, or Kafka did not take it, or
2. its request's deadline came: each view that still owes an answer counts as `UNAVAILABLE`, retryable.

Invariant: each place answers for a record once. Repeats, answers that come late and answers for other processes change
nothing. A view that transform neither sent rows for nor reported as failed dropped the record, which is success.

A record's rows of one view for one updates partition travel in one message, so one `Written` covers them all.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from schemas.errors import UNAVAILABLE, WRITE_ERROR, OverloadedError
from schemas.limits import MAX_INGEST_REQUESTS
from schemas.messages.updates import DROPPED, Ack, Transformed, Written

_DROPPED_ONE: Final[Mapping[str, int]] = {DROPPED: 1}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a record, or what one view made of it, was not stored.

    Attributes:
        code: one of the codes of records in ``schemas.errors``; a dialect may have another name for it.
        message: in words.
        store: ``online`` or ``offline`` where one of them failed, else empty.
        retryable: whether sending the record again may help.
    """

    code: str
    message: str
    store: str = ""
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """What became of one record.

    Attributes:
        failure: why it did not reach Kafka; then nothing is known of its views.
        views: by view id, None where the view stored or dropped it.
        became: by view id, how many of its rows had which of ``ROW_OUTCOMES``, and how many were ``FUTURE``; of a view
            that dropped it, one ``DROPPED``; without the views that failed, and those of which this is not known.
    """

    failure: Failure | None
    views: Mapping[int, Failure | None]
    became: Mapping[int, Mapping[str, int]] = field(default_factory=dict)


class Answer(NamedTuple):
    """The end of one request's waiting; outcomes in the order of its records."""

    request: bytes
    outcomes: tuple[RecordOutcome, ...]


@dataclass(slots=True)
class _Record:
    views: frozenset[int]
    transformed: bool = False
    confirmed: bool = False
    lost: str = ""
    failed: dict[int, Failure] = field(default_factory=dict)  # what transform told, by view
    expected: set[tuple[int, int]] = field(default_factory=set)  # (view, partition)
    written: dict[tuple[int, int], Written] = field(default_factory=dict)

    def is_done(self) -> bool:
        if self.lost:
            return True
        if not self.transformed:
            return self.confirmed and not self.views
        return self.expected <= self.written.keys()

    def outcome(self, overdue: str) -> RecordOutcome:
        if self.lost:
            return RecordOutcome(Failure(UNAVAILABLE, self.lost, retryable=True), {})
        if not self.views and not self.is_done():
            return RecordOutcome(Failure(UNAVAILABLE, overdue, retryable=True), {})
        views = {view: self._of(view, overdue) for view in sorted(self.views)}
        became = {view: rows for view, failure in views.items() if failure is None and (rows := self._became(view))}
        return RecordOutcome(None, views, became)

    def _became(self, view: int) -> Mapping[str, int]:
        answers = [answer.became for (of, _), answer in self.written.items() if of == view]
        if not answers:
            return _DROPPED_ONE
        if len(answers) == 1:
            return answers[0]
        # Of rows of one record, those of one partition may be known and others not: then nothing is said.
        return sum(map(Counter, answers), Counter[str]()) if all(answers) else {}

    def _of(self, view: int, overdue: str) -> Failure | None:
        if view in self.failed:
            return self.failed[view]
        answers = [self.written[place] for place in sorted(self.written) if place[0] == view]
        for answer in answers:
            if answer.store:
                return Failure(WRITE_ERROR, answer.message, answer.store, retryable=True)
        owed = sum(place[0] == view for place in self.expected)
        if not self.transformed or len(answers) < owed:
            return Failure(UNAVAILABLE, overdue, retryable=True)
        return None


@dataclass(slots=True)
class _Request:
    deadline: float
    records: tuple[_Record, ...]
    missing: int


class PendingRequests:
    """All requests of one process that wait; for use by one thread.

    Args:
        clock: seconds that never run backwards.
        deadline_seconds: how long a request waits at most.
        max_requests: how many may wait at a time.
    """

    def __init__(
        self, clock: Callable[[], float], deadline_seconds: float, max_requests: int = MAX_INGEST_REQUESTS
    ) -> None:
        self._clock = clock
        self._deadline_seconds = deadline_seconds
        self._max_requests = max_requests
        self._requests: dict[bytes, _Request] = {}  # by deadline: all wait equally long
        self._overdue = (
            f"no answer within {deadline_seconds:g} s; the record may still be stored. Send it again: that replaces it"
        )

    def __len__(self) -> int:
        return len(self._requests)

    @property
    def next_deadline(self) -> float | None:
        """When `expire` has something to do, by the clock; None while nobody waits."""
        first = next(iter(self._requests.values()), None)
        return None if first is None else first.deadline

    def open(self, request: bytes, records: Sequence[Iterable[int]]) -> None:
        """Begins to wait, before the first record is sent.

        Args:
            request: an id that no other request ever had.
            records: at least one; the ids of the views that each record is for.

        Raises:
            OverloadedError: too many requests wait.
        """
        if len(self._requests) >= self._max_requests:
            raise OverloadedError(f"{self._max_requests} requests wait for their results, which is the limit")
        waiting = tuple(_Record(frozenset(views)) for views in records)
        self._requests[request] = _Request(self._clock() + self._deadline_seconds, waiting, len(waiting))

    def forget(self, request: bytes) -> None:
        """Stops waiting, without an answer; forgetting one that does not wait changes nothing."""
        self._requests.pop(request, None)

    def take(self, acks: Iterable[Ack]) -> list[Answer]:
        """Enter answers of processors; returns the requests that they complete."""
        return [answer for ack in acks for answer in self._enter(ack.request, ack.index, ack)]

    def confirm(self, request: bytes, index: int) -> list[Answer]:
        """Enter that Kafka has a record; returns the request if that completes it."""
        return list(self._enter(request, index, None))

    def lose(self, request: bytes, index: int, reason: str) -> list[Answer]:
        """Enter that Kafka did not take a record, and why; returns the request if that completes it."""
        return list(self._enter(request, index, reason))

    def expire(self) -> list[Answer]:
        """Returns the requests whose deadline has come; they wait no longer."""
        now = self._clock()
        answers: list[Answer] = []
        while (deadline := self.next_deadline) is not None and deadline <= now:
            answers.append(self._close(next(iter(self._requests))))
        return answers

    def _enter(self, request: bytes, index: int, news: Ack | str | None) -> Iterator[Answer]:
        waiting = self._requests.get(request)
        if waiting is None or index >= len(waiting.records):
            return
        record = waiting.records[index]
        if record.is_done():
            return
        match news:
            case Transformed():
                _enter_transformed(record, news)
            case Written(view=view, partition=partition) if view in record.views:
                record.written.setdefault((view, partition), news)
            case Written():
                pass  # of a view that a later plan added
            case None:
                record.confirmed = True
            case _:
                record.lost = news
        if record.is_done():
            waiting.missing -= 1
            if waiting.missing == 0:
                yield self._close(request)

    def _close(self, request: bytes) -> Answer:
        waiting = self._requests.pop(request)
        return Answer(request, tuple(record.outcome(self._overdue) for record in waiting.records))


def _enter_transformed(record: _Record, news: Transformed) -> None:
    if record.transformed:
        return
    record.transformed = True
    record.failed = {view: Failure(code, message) for view, code, message in news.failures if view in record.views}
    record.expected = {(view, partition) for view, partition, _ in news.sent if view in record.views}
