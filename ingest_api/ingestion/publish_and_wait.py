"""From checked records to what became of them: publish, wait, combine. What all dialects share.

1. Refuse at once what cannot succeed now: Kafka away, answers not read yet, too much waiting.
2. Begin to wait for the request's answers.
3. Publish: records of one request to one source go to one partition, so that they keep their order.
4. Combine the answers by source and view.

Invariant: a result without failures means that each record is in Kafka, and in log and state for each view of its
source that did not drop it.
"""

import itertools
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from ingest_api.ingestion.answers import Answers
from ingest_api.ingestion.pending import Failure, RecordOutcome
from ingest_api.ingestion.sources import Source, Sources
from schemas.definitions.plan import ViewPlan
from schemas.definitions.plan_source import PlanSource
from schemas.errors import UnavailableError
from schemas.messages.updates import FAILED, UNKNOWN, ReplyAddress

NONCE_BYTES: Final = 8
COUNTER_BYTES: Final = 8

INDICES_SHOWN: Final = 10
"""How many record indices a message lists."""


class Records(Protocol):
    """Where records go: `ingest_api.ingestion.publisher.Publisher`."""

    def room_for(self, records: int) -> None:
        """Refuses what cannot be queued."""
        ...

    def publish(
        self, topic: str, partition: int, value: bytes, reply: ReplyAddress, plan: bytes, *, report_success: bool
    ) -> None:
        """Queue one record."""
        ...


class Replies(Protocol):
    """Where answers come from: `ingest_api.ingestion.ack_consumer.AckConsumer`."""

    @property
    def failure(self) -> str | None:
        """What keeps answers from coming."""
        ...

    def partition_of(self, workspace: str) -> int | None:
        """Returns the partition on which answers for a workspace are read."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """Checked records of one source: by their index in what the caller sent, in order."""

    source: Source
    frames: Mapping[int, bytes]


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What became of a batch.

    Attributes:
        failures: of records that Kafka did not take, by index.
        views: each view of the source, by name and version, and why it failed; None where it did not.
        became: by view key, in the same order, what became of its rows and of the records that it dropped, and how many
            records ``FAILED`` or are ``UNKNOWN``; what there is none of is left out.
        failed: by index of the record, the views that failed on it, by view key, and why.
    """

    failures: Mapping[int, Failure]
    views: Sequence[tuple[ViewPlan, Failure | None]]
    became: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    failed: Mapping[int, Mapping[str, Failure]] = field(default_factory=dict)


class Ingestion:
    """Publishes records and waits for their answers; for use by one event loop.

    Args:
        plans: the newest plans.
        publisher: started by the caller.
        replies: started by the caller; feeds ``answers``.
        answers: of the same event loop.
        installation: whose processors answer.
    """

    def __init__(
        self, plans: PlanSource, publisher: Records, replies: Replies, answers: Answers, installation: str
    ) -> None:
        self._plans = plans
        self._publisher = publisher
        self._replies = replies
        self._answers = answers
        self._installation = installation
        self._sources: dict[str, Sources] = {}
        self._nonce = secrets.token_bytes(NONCE_BYTES)
        self._requests = itertools.count()
        self._turns = itertools.count(secrets.randbelow(2**32))
        self.complete = False
        """Whether the definitions were read to their end once, so that an unknown source does not exist."""

    def sources(self, workspace: str) -> Sources:
        """Returns the sources of a workspace, as of its newest plan.

        Raises:
            UnavailableError: the definitions were not read yet.
        """
        if not self.complete:
            raise UnavailableError(f"the definitions were not read yet: {self._plans.failure or 'starting'}")
        plan = self._plans.plan(workspace)
        known = self._sources.get(workspace)
        if plan is None:
            return Sources(workspace, None)
        if known is None or known.number != plan.number:
            known = self._sources[workspace] = Sources(workspace, plan)
        return known

    async def ingest(self, sources: Sources, batches: Sequence[Batch]) -> list[BatchOutcome]:
        """Publish batches and return what became of each, at the latest after the ack deadline.

        Args:
            sources: what the batches were checked against.
            batches: one for each source; those without records succeed at once.

        Raises:
            OverloadedError: too much waits already; nothing was published.
            UnavailableError: Kafka is away; nothing, or at least nothing known, was published.
        """
        records = [(batch.source, index) for batch in batches for index in batch.frames]
        if not records:
            return [BatchOutcome({}, ()) for _ in batches]
        reply_partition = self._reply_partition(sources.workspace)
        self._publisher.room_for(len(records))
        request = self._nonce + next(self._requests).to_bytes(COUNTER_BYTES, "big")
        with self._answers.waiting(request, [source.view_ids for source, _ in records]) as answer:
            position = itertools.count()
            for batch in batches:
                source = batch.source
                partition = next(self._turns) % source.partitions
                for frame in batch.frames.values():
                    reply = ReplyAddress(reply_partition, request, next(position), self._installation)
                    self._publisher.publish(
                        source.topic, partition, frame, reply, sources.header, report_success=not source.views
                    )
            outcomes = await answer
        lost = [outcome.failure.message for outcome in outcomes if outcome.failure is not None]
        if len(lost) == len(outcomes):
            raise UnavailableError(lost[0])
        remaining = iter(outcomes)
        return [
            combined(batch, dict(zip(batch.frames, itertools.islice(remaining, len(batch.frames)), strict=True)))
            for batch in batches
        ]

    def _reply_partition(self, workspace: str) -> int:
        failure = self._replies.failure or self._plans.failure
        if failure is not None:
            raise UnavailableError(f"records cannot be taken now: {failure}")
        partition = self._replies.partition_of(workspace)
        if partition is None:
            raise UnavailableError(f"answers of workspace {workspace!r} are not read yet")
        return partition


def combined(batch: Batch, outcomes: Mapping[int, RecordOutcome]) -> BatchOutcome:
    """Returns what became of a batch.

    Args:
        batch: of checked records.
        outcomes: of each of them, by index.
    """
    failures = {index: outcome.failure for index, outcome in outcomes.items() if outcome.failure is not None}
    reached = {index: outcome.views for index, outcome in outcomes.items() if outcome.failure is None}
    views = [(view, _view_failure(view.id, reached)) for view in batch.source.views] if reached else []
    counted = [outcome for outcome in outcomes.values() if outcome.failure is None]
    keys = {view.id: view.key for view, _ in views}
    failed = {
        index: {keys[view]: failure for view, failure in of_views.items() if failure is not None}
        for index, of_views in reached.items()
        if any(of_views.values())
    }
    return BatchOutcome(failures, views, {key: _became(view, counted) for view, key in keys.items()}, failed)


def _became(view: int, outcomes: Sequence[RecordOutcome]) -> Mapping[str, int]:
    total: Counter[str] = Counter()
    for outcome in outcomes:
        if outcome.views[view] is not None:
            total[FAILED] += 1
        elif view in outcome.became:
            total.update(outcome.became[view])
        else:
            total[UNKNOWN] += 1
    return total


def _view_failure(view: int, reached: Mapping[int, Mapping[int, Failure | None]]) -> Failure | None:
    """Returns the failure of the first record that failed; the message says which records did, unless all did."""
    failed = {index: failure for index, views in reached.items() if (failure := views[view]) is not None}
    if not failed:
        return None
    first = next(iter(failed.values()))
    if len(failed) == len(reached):
        return first
    indices = ", ".join(map(str, itertools.islice(failed, INDICES_SHOWN)))
    more = ", …" if len(failed) > INDICES_SHOWN else ""
    return replace(first, message=f"{first.message} (records {indices}{more})")
