"""How soon a flight can be read: from its acknowledgement, or from handing it to a Kafka producer.

Invariant: a measurement begins when a flight is offered, and only an idle reader takes one, so none waits in a queue.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from queue import Full, Queue
from typing import Final, Self

from examples.flights.data import Flight
from examples.flights.reads import FeatureReader, keys_of

DEADLINE_SECONDS: Final = 30.0


class FreshnessProbe:
    """Reads a flight until it shows, then takes the next one that is offered, in a thread of its own.

    Args:
        reader: for this probe alone; closed at its end.
        on_read: called after each read.

    Attributes:
        freshness: seconds from each offer to the answer that had the flight.
        reads: how long each read took, in seconds.
        problems: what went wrong, at most one thing: the probe ends with it.
    """

    def __init__(self, reader: FeatureReader, on_read: Callable[[], None]) -> None:
        self.freshness: list[float] = []
        self.reads: list[float] = []
        self.problems: list[str] = []
        self._reader = reader
        self._on_read = on_read
        self._idle = threading.Event()
        self._offers: Queue[tuple[Flight, float] | None] = Queue(1)

        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._idle.clear()
        self._offers.put(None)
        self._thread.join()

    def offer(self, flight: Flight) -> None:
        """Measures a flight from this moment on, if the reader is idle and the flight names an aircraft."""
        if flight.tail_number is not None and self._idle.is_set():
            self._idle.clear()
            with contextlib.suppress(Full):  # another thread was quicker
                self._offers.put_nowait((flight, time.perf_counter()))

    def _run(self) -> None:
        try:
            with self._reader:
                self._idle.set()
                while (offered := self._offers.get()) is not None:
                    self._measure(*offered)
                    self._idle.set()
        except Exception as error:  # noqa: BLE001 - whatever it is, the demo shows it and fails
            self.problems.append(f"reading while flights flow: {error!r}")
            self._offers.get()  # so that leaving never waits

    def _measure(self, flight: Flight, since: float) -> None:
        while True:
            reading = self._reader.read(keys_of(flight))
            self.reads.append(reading.seconds)
            self._on_read()
            seconds = time.perf_counter() - since
            if reading.has(flight):
                self.freshness.append(seconds)
                return
            if seconds > DEADLINE_SECONDS:
                message = f"flight {flight} did not show within {DEADLINE_SECONDS:.0f} s"
                raise TimeoutError(message)
