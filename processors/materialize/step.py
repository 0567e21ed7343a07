"""What happens to a batch of one updates partition, without Kafka.

Invariant: a row is acknowledged as written only when both the offline log and online state hold it, and neither ever
takes the same message twice. A message that is no row of its view is in neither, and stops no other.
"""

import struct
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from processors.logs.offline_log import OfflineLog
from processors.materialize.fold import ViewState, materialize
from processors.materialize.view_digests import take_up
from processors.producer.messages import OutMessage, ack_messages
from schemas.definitions.plan import Plan, ViewPlan
from schemas.errors import StorageError, UnavailableError
from schemas.messages.updates import FUTURE, Ack, UpdateMessage, Written, rows_by_waiting
from schemas.state.reader import State
from schemas.state.values import next_offset_of

OFFLINE: Final = "offline"
ONLINE: Final = "online"

RowCounts = dict[tuple[str, str], int]
"""How many rows, by view (``name@version``) and what became of them: one of ``ROW_OUTCOMES``, or besides ``FUTURE``."""

Became = dict[int, dict[str, int]]
"""The same of one message's waiting records, by their place among them."""


# What values of the wrong number, type or size raise in the encoders and the aggregates, and a view that never was.
_WRONG: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error, UnavailableError)


class _Nothing:
    """State that holds nothing."""

    def get(self, key: bytes) -> bytes | None:
        del key
        return None

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        return [None] * len(keys)

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        del start, end
        return iter(())

    def last_before(self, start: bytes, end: bytes) -> tuple[bytes, bytes] | None:
        del start, end
        return None


_NOTHING: Final = _Nothing()


def _unexplained(error: Exception) -> Exception:
    """Returns what to raise for an error of the fold that no message explains: stored bytes are bad, or the code is."""
    if isinstance(error, msgspec.DecodeError):
        return StorageError(
            f"state holds a value that cannot be read ({error}): stop this process, delete the partition's folder and "
            "start again; it is rebuilt from the log"
        )
    return error


class StoreFailedError(StorageError):
    """Log or state cannot be written: ``acks`` are to be sent, then the process must stop; no offset has advanced."""

    def __init__(self, message: str, acks: list[OutMessage]) -> None:
        super().__init__(message)
        self.acks = acks


@dataclass(frozen=True, slots=True)
class Materialized:
    """What a batch asks to be sent, and what to count of it."""

    acks: list[OutMessage]
    rows: RowCounts
    refused: Sequence[tuple[UpdateMessage, str]] = ()
    """Messages that are no rows of their views, and why: no processor writes such, so nobody waits for them."""
    reread: Mapping[str, int] = field(default_factory=dict)
    """How many rows were read again because one beside them was corrected, by view."""


@dataclass(frozen=True, slots=True)
class _Fold:
    writes: Mapping[bytes, bytes | None]
    rows: RowCounts
    reread: Mapping[str, int] = field(default_factory=dict)
    became: Mapping[int, Became] = field(default_factory=dict)  # by offset of the message


class MaterializeStep:
    """The materialization of one updates partition.

    1. The offline log gets the messages that it does not have, as one block.
    2. State gets the messages that it does not have, in one write with their offset.
    3. Answers are returned to be sent to whoever waits for a record of the batch.

    After a crash, processing goes on at the lower of the two offsets; each store skips what it has.

    Args:
        workspace: its name.
        partition: of the workspace's updates topic.
        log: the partition's log, open.
        state: the partition's state.
        views: every view that is known, by id, current or not; may grow meanwhile.
        installation: whose log and state these are: its callers are answered, other installations answer theirs.
    """

    def __init__(
        self,
        workspace: str,
        partition: int,
        log: OfflineLog,
        state: State,
        views: Mapping[int, ViewPlan],
        installation: str,
    ) -> None:
        self._workspace = workspace
        self._partition = partition
        self._log = log
        self._state = state
        self._views = views
        self._installation = installation
        self._current: dict[int, ViewState] = {}

    @property
    def logged(self) -> int | None:
        """Where the offline log stands; None while it is empty."""
        return self._log.next_offset

    def use(self, plan: Plan) -> list[ViewPlan]:
        """Takes up a newer plan: from now on its views have state, the retired ones included.

        Returns:
            the views under whose ids state held what was another view's, and is dropped.

        Raises:
            StorageError: the state cannot be read or written.
        """
        views = plan.folded_views().values()
        # What another view left under one of these ids goes before the first row is folded on top of it.
        dropped = take_up(views, self._state)
        self._current = {view.id: ViewState(view) for view in views}
        return dropped

    def start_offset(self, earliest: int) -> int | None:
        """Returns where to read on, None for the beginning: the lower of what log and state reached.

        A log that is empty beside state that has all up to its offset was taken away: it begins anew with what Kafka
        still holds.

        Args:
            earliest: the first offset that Kafka holds.

        Raises:
            StorageError: the state cannot be read.
        """
        logged, stored = self.logged, next_offset_of(self._state)
        if stored is None:
            return None
        return min(stored, earliest if logged is None else logged)

    def run(self, messages: Sequence[UpdateMessage], next_offset: int) -> Materialized:
        """Processes a batch.

        Args:
            messages: in order; the plans that made them are known.
            next_offset: where the partition goes on after them.

        Raises:
            StoreFailedError: a store cannot be written; carries the answers that say so.
        """
        try:
            return self._run(messages, next_offset)
        except _WRONG as error:
            # Raised before anything was written. It costs nothing to look for who did it only now.
            problems = [(message, problem) for message in messages if (problem := self._problem(message))]
            if not problems:
                raise _unexplained(error) from error
        refused = {message.offset for message, _ in problems}
        right = [message for message in messages if message.offset not in refused]
        return replace(self._run(right, next_offset), refused=problems)

    def _run(self, messages: Sequence[UpdateMessage], next_offset: int) -> Materialized:
        # What is written comes first: a message that state or log cannot take shows before either has anything of it.
        try:
            fold = self._fold(messages, next_offset)
        except StorageError as error:
            raise self._failed(messages, ONLINE, error) from error
        # 1. The offline log.
        try:
            self._log.append(self._views, messages, next_offset)
        except StorageError as error:
            raise self._failed(messages, OFFLINE, error) from error
        # 2. Online state.
        try:
            self._write(fold)
        except StorageError as error:
            raise self._failed(messages, ONLINE, error) from error
        # 3. Answers.
        return Materialized(self._acks(messages, "", "", fold.became), fold.rows, reread=fold.reread)

    def write(self, messages: Sequence[UpdateMessage], next_offset: int) -> RowCounts:
        """Does step 2 alone, for messages that are in the log.

        Raises:
            StorageError: the state cannot be read or written; its offset has not advanced.
        """
        fold = self._fold(messages, next_offset)
        self._write(fold)
        return fold.rows

    def _fold(self, messages: Sequence[UpdateMessage], next_offset: int) -> _Fold:
        """Returns what messages write to state; nothing where state has them all."""
        reached = next_offset_of(self._state) or 0
        if next_offset <= reached:
            return _Fold({}, {})
        # View by view, so that outcomes can be counted by view; no two views share a key.
        batches: dict[int, list[UpdateMessage]] = defaultdict(list)
        for message in messages:
            # A crash between the two stores leaves one ahead: what state has is not folded twice.
            if message.offset >= reached and message.update.view in self._current:
                batches[message.update.view].append(message)
        # The offset goes on even where no message is of a view that is kept.
        writes = materialize({}, self._state, [], next_offset).writes
        counts: RowCounts = {}
        reread: dict[str, int] = {}
        became: dict[int, Became] = {}
        for view, batch in batches.items():
            made = materialize({view: self._current[view]}, self._state, batch, next_offset)
            writes.update(made.writes)
            key = self._current[view].view.key
            outcomes, future = made.outcomes[view], made.future.get(view, [])
            counts.update({(key, outcome): count for outcome, count in Counter(outcomes).items()})
            if future:
                counts[key, FUTURE] = len(future)
            became.update(_became(batch, outcomes, frozenset(future)))
            if made.reread:
                reread[key] = made.reread
        return _Fold(writes, counts, reread, became)

    def _write(self, fold: _Fold) -> None:
        if fold.writes:
            self._state.write(list(fold.writes.items()))

    def _problem(self, message: UpdateMessage) -> str | None:
        """Returns why a message is no update of its view, or None if it is one; stores are not asked.

        What is wrong with a message shows without them: what shows only with them is theirs, and must not be charged to
        a row that somebody waits for.
        """
        update = message.update
        if update.view not in self._views:
            return f"nobody ever applied a view {update.view}"
        current = self._current.get(update.view)
        try:
            self._log.check(self._views, message)
            materialize({} if current is None else {update.view: current}, _NOTHING, [message], message.offset + 1)
        except _WRONG as error:
            return f"{type(error).__name__}: {error}"
        return None

    def _failed(self, messages: Sequence[UpdateMessage], store: str, error: StorageError) -> StoreFailedError:
        return StoreFailedError(error.message, self._acks(messages, store, error.message, {}))

    def _acks(
        self, messages: Sequence[UpdateMessage], store: str, problem: str, became: Mapping[int, Became]
    ) -> list[OutMessage]:
        acks: dict[int, list[Ack]] = defaultdict(list)
        for message in messages:
            view = message.update.view
            of_message = became.get(message.offset, {})
            for place, waiting in enumerate(message.update.waiting):
                reply = waiting.reply
                # Callers of another installation wait for its stores, and these say nothing about them.
                if reply.installation != self._installation:
                    continue
                rows = of_message.get(place, {})
                answer = Written(reply.request, reply.index, view, self._partition, waiting.rows, store, problem, rows)
                acks[reply.partition].append(answer)
        return ack_messages(self._workspace, acks)


def _became(
    messages: Sequence[UpdateMessage], outcomes: Sequence[str], future: frozenset[int]
) -> Iterator[tuple[int, Became]]:
    """Yields what became of the rows of those who wait, by offset of the message.

    Args:
        messages: of one view.
        outcomes: of their rows, in order.
        future: which of them were still to come.
    """
    begin = 0
    for offset, update in messages:
        if update.waiting:
            became: Became = {}
            for place, rows in enumerate(rows_by_waiting(update)):
                counts = Counter(outcomes[begin + at] for at in rows)
                ahead = sum(begin + at in future for at in rows) if future else 0
                became[place] = {**counts, FUTURE: ahead} if ahead else dict(counts)
            yield offset, became
        begin += len(update.rows)
