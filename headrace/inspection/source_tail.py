"""The records of a source as they come, and what processors write of them, read from Kafka side by side.

What is read: the newest records of the source and all that come; the updates and dead letters since a little before the
oldest of these; and, while something is waited for, the offsets of the transform group. What follows from them:
``headrace.inspection.record_fates``.

Invariant: nothing is written, and no group is joined.
"""

import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Final, Self

from confluent_kafka import OFFSET_END, KafkaException, Message, TopicPartition

from headrace.inspection.dead_letters import dead_letter_of
from headrace.inspection.newest import (
    ASK_SECONDS,
    BATCH,
    FETCH_WAIT_MS,
    POLL_SECONDS,
    StoredRecord,
    newest,
    partitions,
    time_of,
)
from headrace.inspection.record_fates import HISTORY_SECONDS, RecordFates, Shown, ShownView
from headrace.lags import committed_offsets
from infra.kafka.clients import admin, end_offset, reader
from infra.kafka.definitions import DefinitionsLog
from infra.kafka.errors import is_end, words
from schemas.definitions.plan import Plan, SourcePlan
from schemas.errors import CodecError, NotFoundError, UnavailableError
from schemas.messages.updates import decode_update
from schemas.topics import DEFINITIONS_TOPIC, dead_letter_topic, source_topic, transform_group, updates_topic

BEFORE_MS: Final = 60_000
"""How much earlier than the oldest record updates and dead letters are read from: clocks of brokers and processors."""

ASK_PAUSE_SECONDS: Final = 0.25
"""Between two questions for the offsets of the transform group."""

SETTLE_SECONDS: Final = 1.0
"""How long records that processors have not passed are waited for where nothing is followed."""


class SourceTail:
    """Reads one source; for use by one thread.

    Args:
        bootstrap: ``HOST:PORT``, several joined by commas.
        definitions: followed, and read to their end.
        workspace: of the source.
        source: its name.
        installation: whose processors' offsets count; None if it is not known, so that nothing is ever passed.
        follows: whether records that come later are read too.

    Raises:
        NotFoundError: the workspace has no such source; lists those that it has.
    """

    def __init__(
        self,
        bootstrap: str,
        definitions: DefinitionsLog,
        workspace: str,
        source: str,
        installation: str | None,
        *,
        follows: bool,
    ) -> None:
        self._bootstrap = bootstrap
        self._definitions = definitions
        self._workspace = workspace
        self._source = source
        self._installation = installation
        self._follows = follows
        self._planned()
        self._topic = source_topic(workspace, source)
        self._updates = updates_topic(workspace)
        self._letters = dead_letter_topic(workspace, source)
        self._admin = admin(bootstrap)
        self._client = reader(bootstrap, fetch_wait_ms=FETCH_WAIT_MS)
        self._fates = RecordFates({})
        self._published: dict[int, int] = {}
        self._source_partitions: Sequence[int] = ()
        self._derived: Sequence[tuple[str, int]] = ()  # partitions of what processors write
        self._next_question = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    @property
    def source(self) -> SourcePlan:
        """The source as it is applied now."""
        return self._planned().read_sources()[self._source]

    def begin(self, count: int) -> None:
        """Finds the newest records, and where to read on.

        Args:
            count: how many at most.

        Raises:
            UnavailableError: Kafka does not answer.
        """
        held = newest(self._bootstrap, self._topic, count)
        self._source_partitions = sorted(held.ends)
        self._fates = RecordFates(held.ends)
        views, since = self._views(), time.monotonic()
        for record in held.records:
            self._fates.take_record(record, views, since)
        oldest = min((record.time for record in held.records), default=None)
        try:
            starts = [*self._starts(self._updates, oldest), *self._starts(self._letters, oldest)]
            self._derived = [(each.topic, each.partition) for each in starts]
            for each in starts:
                self._fates.read_to((each.topic, each.partition), each.offset)
            followed = [TopicPartition(self._topic, number, end) for number, end in held.ends.items()]
            self._client.assign([*starts, *(followed if self._follows else ())])
        except KafkaException as error:
            raise UnavailableError(f"Kafka at {self._bootstrap} does not answer: {words(error)}; try again") from error

    def shown(self) -> Iterator[Shown]:
        """Reads on for a moment, and yields what is to be shown.

        Raises:
            NotFoundError: the source was removed.
            UnavailableError: Kafka does not answer.
        """
        self._planned()
        self._read()
        self._ask()
        yield from self._fates.due(time.monotonic())

    def once(self) -> Iterator[Shown]:
        """Yields the newest records with what became of them, as far as it can be known in a moment; in order.

        Raises:
            NotFoundError: the source was removed.
            UnavailableError: Kafka does not answer.
        """
        deadline = time.monotonic() + HISTORY_SECONDS
        while self._fates.is_waiting and time.monotonic() < deadline:
            yield from self.shown()
            if self._fates.has_settled:
                deadline = min(deadline, time.monotonic() + SETTLE_SECONDS)
        yield from self._fates.rest()

    def _planned(self) -> Plan:
        plan = self._definitions.plan(self._workspace)
        known = [] if plan is None else sorted(plan.read_sources())
        if plan is None or self._source not in known:
            listed = (
                f"known are: {', '.join(known)}" if known else "nothing is applied to it; `headrace apply REPO` does"
            )
            raise NotFoundError(f"workspace {self._workspace} has no stream source {self._source!r}; {listed}")
        return plan

    def _views(self) -> list[ShownView]:
        """Returns the views that the source feeds by now."""
        views = [view for _, view in sorted(self._planned().folded_views().items()) if view.source == self._source]
        for view in views:
            if view.id not in self._published:
                self._published[view.id] = time_of(self._bootstrap, DEFINITIONS_TOPIC, 0, view.id)
        return [ShownView(view, self._published[view.id]) for view in views]

    def _starts(self, topic: str, oldest: int | None) -> list[TopicPartition]:
        """Returns from where a topic is read: a little before the oldest record, or its end."""
        wanted = [TopicPartition(topic, number, -1) for number in partitions(self._client, topic)]
        ends = {each.partition: end_offset(self._admin, topic, each.partition, ASK_SECONDS) for each in wanted}
        found = wanted
        if oldest is not None and wanted:
            asked = [TopicPartition(topic, each.partition, max(0, oldest - BEFORE_MS)) for each in wanted]
            found = self._client.offsets_for_times(asked, timeout=ASK_SECONDS)
        return [
            TopicPartition(
                topic, each.partition, each.offset if each.offset not in (-1, OFFSET_END) else ends[each.partition]
            )
            for each in found
        ]

    def _read(self) -> None:
        first = self._client.poll(POLL_SECONDS)  # consume() alone would wait for a full batch
        messages = [] if first is None else [first, *self._client.consume(BATCH, 0)]
        views: list[ShownView] | None = None
        for message in messages:
            topic, partition = message.topic() or "", message.partition() or 0
            error = message.error()
            if error is not None:
                if is_end(error) and topic != self._topic:
                    self._fates.read_to((topic, partition), message.offset() or 0)
                continue
            if topic == self._topic:
                views = self._views() if views is None else views
                self._fates.take_record(StoredRecord.of(message), views, time.monotonic())
            else:
                self._take(topic, message)
                self._fates.read_to((topic, partition), (message.offset() or 0) + 1)

    def _take(self, topic: str, message: Message) -> None:
        if topic == self._letters:
            self._fates.take_dead_letter(dead_letter_of(StoredRecord.of(message)))
            return
        try:
            self._fates.take_update(decode_update(message.value() or b""))
        except CodecError:
            return  # processors say in their logs what is in the topic beside updates

    def _ask(self) -> None:
        now = time.monotonic()
        if not self._fates.is_waiting or self._fates.is_asking or now < self._next_question:
            return
        self._next_question = now + ASK_PAUSE_SECONDS
        committed = self._committed()
        # The ends come second: what was written of the records before these offsets is before these ends.
        ends = {place: end_offset(self._admin, *place, ASK_SECONDS) for place in self._derived}
        self._fates.told(committed, ends)

    def _committed(self) -> dict[int, int]:
        """Returns the offsets of the transform group, by partition of the source; none where it has none."""
        where = [TopicPartition(self._topic, number) for number in self._source_partitions]
        if self._installation is None or not where:
            return {}
        try:
            found = committed_offsets(self._admin, transform_group(self._installation), where)
        except KafkaException as error:
            raise UnavailableError(f"Kafka at {self._bootstrap} does not answer: {words(error)}; try again") from error
        return {partition: offset for (_, partition), offset in found.items()}
