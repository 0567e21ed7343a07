"""Waiting for what is not here yet: a plan, a schema, code, what a record becomes in a process of its own.

Invariant: whoever waits holds up its own partition and no other. An outage pauses a partition; it never ends the
process, and never holds a partition that is to be let go.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from infra.logs import get_logger
from schemas.errors import UnavailableError

RETRY_SECONDS: Final = 0.5

_log = get_logger(__name__)


class NotHereError(Exception):
    """A batch needs what is not here yet: its partition is to wait and to try again.

    No failure, so it is outside the tree of errors: the partition's queue takes it, and nobody else hears of it.

    Args:
        what: is waited for, and by which partition, in words.
        until: ends once it is here, or once it is known that it will not come.
    """

    def __init__(self, what: str, until: Callable[[], Coroutine[Any, Any, None]]) -> None:
        super().__init__(what)
        self.what = what
        self.until = until


class Owner(Protocol):
    """Who waits."""

    @property
    def is_owned(self) -> bool:
        """Whether the partition is still this process's."""
        ...


async def until_available(owner: Owner, read: Callable[[], object], what: str) -> None:
    """Calls ``read`` in a thread until it no longer raises UnavailableError, or the owner is let go.

    Args:
        owner: who waits.
        read: blocks for a few seconds at most.
        what: is waited for, and by which partition; for the log.
    """
    while owner.is_owned:
        try:
            await asyncio.to_thread(read)
        except UnavailableError as error:
            _log.warning("partition waits", waits_for=what, problem=error.message)
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return
