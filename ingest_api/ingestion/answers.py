"""The waiting requests of `PendingRequests`, for coroutines: one future each, and one timer for the earliest deadline.

Invariant: whatever becomes of the caller, the book forgets its request.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from ingest_api.ingestion.pending import Answer, PendingRequests, RecordOutcome
from ingest_api.ingestion.publisher import Delivery
from schemas.messages.updates import Ack

Outcomes = tuple[RecordOutcome, ...]


class Answers:
    """Resolves requests as their answers come; every method runs in the event loop that it was made in.

    Args:
        deadline_seconds: how long a request waits at most.
    """

    def __init__(self, deadline_seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._book = PendingRequests(self._loop.time, deadline_seconds)
        self._futures: dict[bytes, asyncio.Future[Outcomes]] = {}
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def waiting(self, request: bytes, records: Sequence[Iterable[int]]) -> Iterator[asyncio.Future[Outcomes]]:
        """Waits for a request from before its first record is sent until the block ends.

        Args:
            request: an id that no other request ever had.
            records: the ids of the views that each record is for.

        Raises:
            OverloadedError: too many requests wait.
        """
        self._book.open(request, records)
        future = self._futures[request] = self._loop.create_future()
        self._set_timer()
        try:
            yield future
        finally:
            self._book.forget(request)
            del self._futures[request]

    def take(self, acks: Iterable[Ack]) -> None:
        """Enter answers of processors."""
        self._resolve(self._book.take(acks))

    def deliver(self, deliveries: Iterable[Delivery]) -> None:
        """Enter what Kafka said to records."""
        for delivery in deliveries:
            if delivery.failure is None:
                self._resolve(self._book.confirm(delivery.request, delivery.index))
            else:
                self._resolve(self._book.lose(delivery.request, delivery.index, delivery.failure))

    def _resolve(self, answers: Iterable[Answer]) -> None:
        for answer in answers:
            future = self._futures[answer.request]
            if not future.done():
                future.set_result(answer.outcomes)

    def _set_timer(self) -> None:
        deadline = self._book.next_deadline
        if self._timer is None and deadline is not None:
            self._timer = self._loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self._resolve(self._book.expire())
        self._set_timer()
