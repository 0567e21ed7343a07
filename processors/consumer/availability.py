"""Waiting for what is in Kafka but not here yet: a plan, a schema.

Invariant: an outage pauses a partition; it never ends the process, and never holds a partition that is to be let go.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from infra.logs import get_logger
from processors.consumer.batches import PartitionWorker
from schemas.errors import UnavailableError

RETRY_SECONDS: Final = 0.5

_log = get_logger(__name__)


async def until_available(owner: PartitionWorker, read: Callable[[], object], what: str) -> None:
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
