"""The clock of retention: the host's, but steps ahead are held back until the host has run past them.

A clock that steps ahead (a wrong NTP server, a virtual machine that wakes up) would make all of state old enough to be
deleted. So a step of more than ``MAX_STEP`` does not show at first: the clock goes on by running time alone. It shows
once the host has run for ``hold`` since, or at once if the host's clock comes back.

Invariant: it is never later than the host's clock, and later by more than running time and ``MAX_STEP`` than it was
before only after a whole hold.

A process that was away looks like a step of that length, as nobody saw the clock meanwhile; holding it costs nothing
but keys that are deleted a day later. Steps back are followed at once: less is deleted.

Stored form: a MessagePack array of the fields of ``Reading``.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from schemas.instants import HOUR, MINUTE, SECOND, of_nanoseconds

MAX_STEP: Final = HOUR
"""What a host's clock may gain on running time between two looks and be followed, in µs."""

SAVE_EVERY: Final = MINUTE
"""How much running time a restart may forget, in µs."""


class Reading(msgspec.Struct, frozen=True, array_like=True):
    """One look at the clock.

    Attributes:
        host: what the host's clock showed, µs since the epoch.
        held: what it was taken for; less while a step is held.
        ran: how long the host has run since the latest step that is held, in µs; else 0.
    """

    host: int
    held: int
    ran: int = 0

    @property
    def ahead(self) -> int:
        """Returns by how much the host's clock is ahead of what is believed, in µs; 0 unless a step is held."""
        return self.host - self.held


def look(last: Reading | None, host: int, elapsed: int, hold: int) -> Reading:
    """Returns a new reading.

    Args:
        last: the one before; None if there is none: then the host's clock is believed.
        host: the host's clock, µs since the epoch.
        elapsed: running time since ``last``, in µs; 0 if nobody knows it.
        hold: running time for which a step is held, in µs; 0 holds none.
    """
    if last is None:
        return Reading(host, host)
    held = last.held + elapsed
    ran = 0 if host - last.host - elapsed > MAX_STEP else last.ran + elapsed
    if host - held <= MAX_STEP or ran >= hold:
        return Reading(host, host)
    return Reading(host, held, ran)


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Reading).decode


class HeldClock:
    """A held clock that goes on where a former process left it.

    Args:
        saved: what ``to_save`` returned last; None in the beginning.
        hold: for how much running time a step is held, in µs; 0 holds none.
        host: the host's clock, µs since the epoch.
        running: a clock that only ever counts while the host runs, in seconds.
    """

    def __init__(
        self, saved: bytes | None, *, hold: int, host: Callable[[], int], running: Callable[[], float]
    ) -> None:
        self._hold = hold
        self._host = host
        self._running = running
        self._reading = None if saved is None else _decode(saved)
        self._looked: float | None = None
        self._saved: tuple[bool, float] | None = None  # whether a step was held, and when

    def read(self) -> Reading:
        """Looks at the clocks."""
        running = self._running()
        elapsed = 0 if self._looked is None else round((running - self._looked) * SECOND)
        self._looked = running
        self._reading = look(self._reading, self._host(), elapsed, self._hold)
        return self._reading

    def to_save(self) -> bytes | None:
        """Returns what the next process has to know, or None if it was returned not long ago."""
        if self._reading is None or self._looked is None:
            return None
        held = self._reading.ahead > 0
        if self._saved is not None:
            before, when = self._saved
            if held == before and (self._looked - when) * SECOND < SAVE_EVERY:
                return None
        self._saved = (held, self._looked)
        return _encode(self._reading)


def host_clocks(hold: int) -> Callable[[bytes | None], HeldClock]:
    """Returns what makes clocks of this host (``HeldClock``); ``hold`` in µs."""
    return partial(HeldClock, hold=hold, host=lambda: of_nanoseconds(time.time_ns()), running=time.monotonic)
