"""From the ``Authorization`` header of a request to the principal behind it.

Invariant: a key counts for at most ``CACHE_SECONDS`` after it was revoked, one that is made counts as soon, and the key
itself is not kept. The store is asked in threads of its own, a bounded number of questions at a time, so that a slow
database holds up nobody whose key is known.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Generic, TypeVar

from access.keys import KEY_PREFIX
from access.roles import Principal
from access.schemes import ACCEPTED, keys_in
from access.store.accounts import AccessStore
from schemas.errors import UnauthenticatedError, UnavailableError
from schemas.limits import MAX_AUTHORIZATION_CHARACTERS, MAX_CALLERS_LOOKED_UP

__all__ = ["Authenticator", "Principal"]

CACHE_SECONDS: Final = 1.0
CACHE_ENTRIES: Final = 1024

LOOK_UP_SECONDS: Final = 8.0
"""How long a caller waits for the store: longer than a statement may take, for a server that says nothing at all."""

THREADS: Final = 4
"""That ask the store; as many connections as a PostgreSQL store has."""

T = TypeVar("T")


class Authenticator:
    """Checks credentials against the store; for use by one event loop.

    Args:
        store: the access store.
        clock: seconds that never run backwards.
        entries: most callers that are remembered at a time, and as many that are nobody.
    """

    def __init__(
        self, store: AccessStore, clock: Callable[[], float] = time.monotonic, entries: int = CACHE_ENTRIES
    ) -> None:
        self._store = store
        self._clock = clock
        self._known = _Remembered[Principal](entries)
        # Apart from the others, so that a flood of wrong keys drives out nobody who is known.
        self._refused = _Remembered[UnauthenticatedError](entries)
        self._asking: dict[bytes, tuple[float, asyncio.Task[Principal]]] = {}
        self._questions = 0
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="access store")

    def close(self) -> None:
        """Ends the threads; those that wait for the database end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def authenticate(self, authorization: str | None) -> Principal:
        """Returns the principal of an ``Authorization`` header.

        Raises:
            UnauthenticatedError: no header, a scheme that is not accepted, or a key that is unknown or revoked.
            UnavailableError: the store does not answer, or too many other callers are looked up.
        """
        if not authorization:
            raise UnauthenticatedError(f"the Authorization header is missing; send {ACCEPTED}")
        if len(authorization) > MAX_AUTHORIZATION_CHARACTERS:
            raise UnauthenticatedError(
                f"the Authorization header has more than {MAX_AUTHORIZATION_CHARACTERS} characters; send {ACCEPTED}"
            )
        digest = hashlib.sha256(authorization.encode("utf-8", "surrogateescape")).digest()
        now = self._clock()
        known = self._known.values.get(digest)  # not by ``get``: this is on the way of every request
        if known is not None and now < known[0]:
            return known[1]
        refused = self._refused.get(digest, now)
        if refused is not None:
            raise UnauthenticatedError(refused.message)
        asked, asking = self._asking.get(digest, (now, None))
        # An older question may have been answered before a key was revoked: its answer is not for who comes later.
        if asking is None or now - asked >= CACHE_SECONDS:
            if self._questions >= MAX_CALLERS_LOOKED_UP:
                raise UnavailableError(
                    f"{MAX_CALLERS_LOOKED_UP} callers are being looked up, which is the limit; try again"
                )
            asking = asyncio.create_task(self._ask(digest, keys_in(authorization), now))
            self._asking[digest] = (now, asking)
            self._questions += 1
            asking.add_done_callback(lambda task: self._answered(digest, task))
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                # Who goes away meanwhile does not take the answer from the others who wait for it.
                return await asyncio.shield(asking)
        except TimeoutError:
            raise UnavailableError(f"the access store did not answer within {LOOK_UP_SECONDS:g} s; try again") from None

    def _answered(self, digest: bytes, task: asyncio.Task[Principal]) -> None:
        self._questions -= 1
        if self._asking.get(digest, (0.0, None))[1] is task:
            del self._asking[digest]
        if not task.cancelled():
            task.exception()  # nobody may be left who waits for it

    async def _ask(self, digest: bytes, keys: tuple[str, ...], now: float) -> Principal:
        loop = asyncio.get_running_loop()
        for key in keys:
            if key.startswith(KEY_PREFIX):
                principal = await loop.run_in_executor(self._threads, self._store.find, key)
                if principal is not None:
                    # As of the question, not of the answer: what was revoked meanwhile may be in it.
                    self._known.put(digest, principal, now + CACHE_SECONDS)
                    return principal
        error = UnauthenticatedError(
            "the key in the Authorization header is unknown or was revoked; `headrace key list` shows valid ones"
        )
        self._refused.put(digest, error, now + CACHE_SECONDS)
        raise error


class _Remembered(Generic[T]):
    """A bounded number of values by digest, each until its time; the oldest go first."""

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self.values: dict[bytes, tuple[float, T]] = {}

    def get(self, digest: bytes, now: float) -> T | None:
        found = self.values.get(digest)
        return found[1] if found is not None and now < found[0] else None

    def put(self, digest: bytes, value: T, until: float) -> None:
        # Out and in anew: a dict keeps its order, so the first one is the oldest.
        self.values.pop(digest, None)
        while len(self.values) >= self._entries:
            del self.values[next(iter(self.values))]
        self.values[digest] = (until, value)
