"""Up to where all that a partition's records became is in Kafka.

Invariant: ``offset`` never passes a batch that is not delivered, though a later one may be delivered before it: to
other partitions, or by other brokers. A group offset that passed it would lose it at a crash.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class _Sent:
    next_offset: int
    delivered: bool = False


class DeliveryTracker:
    """The deliveries of one partition, safe to use from any thread.

    Attributes:
        offset: where to go on after a crash; None as long as nothing was delivered.
    """

    def __init__(self) -> None:
        self.offset: int | None = None
        self._sent: deque[_Sent] = deque()
        self._lock = threading.Lock()

    def expect(self, next_offset: int, then: Callable[[], None]) -> Callable[[], None]:
        """Notes that a batch is about to be sent, after those before it; returns what to call once it is delivered.

        Args:
            next_offset: where the partition goes on after the batch.
            then: called, once it is delivered, in the thread that tells of it.
        """
        sent = _Sent(next_offset)
        with self._lock:
            self._sent.append(sent)

        def delivered() -> None:
            with self._lock:
                sent.delivered = True
                while self._sent and self._sent[0].delivered:
                    self.offset = self._sent.popleft().next_offset
            then()

        return delivered
