"""The two Faust agents: each takes batches from its channel and lets their owner process them.

Invariant: an exception never leaves an agent (Faust would restart it and lose the batch); it ends the process instead,
which goes on from stored offsets when it starts again.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol, cast

import faust
from faust.app.base import BootStrategy
from mode.supervisors import CrashingSupervisor
from typing_extensions import override

from processors.consumer.batches import Batch
from processors.consumer.intake import PERMITS

QUEUE: Final = 16 * PERMITS  # more than batches can be on their way: a put never waits


class ProcessingWorker(Protocol):
    """An owner that processes its own batches."""

    async def process(self, batch: Batch) -> None:
        """Processes a batch and gives it back."""


async def process(batch: Batch) -> None:
    """Lets a batch's owner process it, or gives it back unseen if its partition was let go while it waited.

    The one place where this is decided: no owner begins a batch of a partition whose files may be the next owner's.
    """
    if batch.owner.is_owned:
        await cast("ProcessingWorker", batch.owner).process(batch)
    else:
        batch.done()  # the next owner reads it again


class _AgentsApp(faust.App):
    logger = logging.getLogger("faust.app")  # a class of ours would log by our name what Faust says of its starts

    @override
    async def on_first_start(self) -> None:
        """Makes no folders: Faust's own would lie wherever the process was started, which may be read-only."""


def make_app() -> faust.App:
    """Returns a Faust app that runs agents and nothing else: Kafka is read and written by ``processors`` itself.

    Must be called in the running event loop.
    """
    app = _AgentsApp(
        "headrace",
        broker="kafka://127.0.0.1",  # never connected to: the boot strategy leaves Kafka out
        autodiscover=False,
        agent_supervisor=CrashingSupervisor,
        web_enabled=False,
        logging_config=None,
    )
    app.boot_strategy = BootStrategy(app, enable_kafka=False, enable_web=False)
    app.flow_control.resume()  # clears queues, so it must come before anything is sent
    return app


async def stop_app(app: faust.App) -> None:
    """Stops the agents, and closes what Faust opens for a consumer even where it is told to leave Kafka out."""
    await app.stop()
    unused: Any = app.consumer
    unused._thread.thread_loop.close()  # noqa: SLF001 - nothing public reaches it


def add_agent(
    app: faust.App, name: str, fail: Callable[[BaseException], None]
) -> Callable[[Batch], Coroutine[Any, Any, None]]:
    """Adds an agent that lets each batch's owner process it, one batch at a time.

    Args:
        app: from ``make_app``, not started yet.
        name: of the agent.
        fail: takes what ends the process.

    Returns:
        The coroutine function that puts a batch on the agent's channel.
    """
    channel = app.channel(maxsize=QUEUE)

    async def run(stream: Any) -> None:
        async for batch in stream:
            try:
                await process(batch)
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # noqa: BLE001 - see the invariant
                fail(error)
                return

    app.agent(channel, name=name)(run)

    async def send(batch: Batch) -> None:
        await channel.send(value=batch)

    return send
