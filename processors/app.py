"""A processor process: followers, database resources, two intakes, two agents, health, and how it ends.

Invariant: whatever fails ends the process with an exit code that tells, after the partitions were let go; nothing of
what was not finished is committed.
"""

import asyncio
import contextlib
from typing import Final

from confluent_kafka import KafkaException
from starlette.applications import Starlette

from infra.databases import DatabaseResources
from infra.definitions import DefinitionsFollower
from infra.disk import LocalDisk
from infra.exit_codes import ExitCode, exit_code_of
from infra.http_server import HttpServer
from infra.kafka_clients import ensure_topics, producer
from infra.logs import get_logger
from infra.operations import operations_routes
from infra.registry import SchemaRegistry
from infra.settings import Settings
from infra.topic_specs import control_topics
from processors.agents import add_agent, make_app
from processors.intake import Intake, IntakeSettings
from processors.materialize_partition import MaterializePartition, MaterializeParts
from processors.outbox import Outbox
from processors.transform_partition import TransformPartition, TransformParts
from processors.watchdog import Watchdog
from schemas.errors import HeadraceError, UnavailableError
from schemas.topics import MATERIALIZE_GROUP, TRANSFORM_GROUP, source_topic, updates_topic

TRANSFORM_BATCH: Final = 1_000  # records per poll
MATERIALIZE_BATCH: Final = 128  # update messages per poll, each of up to 256 KiB
GATHER_SECONDS: Final = 0.01  # under load, state is written at most 100 times a second (design §3)
STARTUP_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 1.0
STOP_SECONDS: Final = 9.0
OPERATIONS_REQUESTS: Final = 16

_log = get_logger(__name__)


class _Ending:
    """Remembers the first failure, from whichever thread it comes."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.happened = asyncio.Event()
        self.error: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        if self.error is None:
            self.error = error
            _log.error("processor ends", problem=str(error), kind=type(error).__name__, exc_info=_trace(error))
        self._loop.call_soon_threadsafe(self.happened.set)

    def exit_code(self) -> int:
        if self.error is None:
            return ExitCode.OK
        return exit_code_of(self.error) if isinstance(self.error, HeadraceError) else ExitCode.FAILURE


def _trace(error: BaseException) -> BaseException | None:
    return None if isinstance(error, HeadraceError) else error


async def run_processor(settings: Settings) -> int:
    """Runs a processor until its task is cancelled or something fails; returns the exit code."""
    ending = _Ending()
    intakes: list[Intake] = []
    registry = SchemaRegistry(settings.bootstrap)
    definitions = DefinitionsFollower(settings.bootstrap)
    starting = {"startup": "starting"}

    def readiness() -> dict[str, str]:
        problems = dict(starting)
        if definitions.failure:
            problems["definitions"] = definitions.failure
        problems |= {f"intake {i}": intake.problem for i, intake in enumerate(intakes) if intake.problem}
        if watchdog.problem:
            problems["progress"] = watchdog.problem
        return problems

    def progress() -> dict[tuple[str, int], tuple[int, int]]:
        found: dict[tuple[str, int], tuple[int, int]] = {}
        for intake in intakes:
            lags = intake.lag()
            found |= {w: (owner.next_offset, lags.get(w, 0)) for w, owner in list(intake.owners.items())}
        return found

    watchdog = Watchdog(progress, settings.watchdog_seconds)
    server = HttpServer(
        Starlette(routes=operations_routes(readiness)),
        settings.host,
        settings.processor_port,
        limit_concurrency=OPERATIONS_REQUESTS,
    )
    outbox = Outbox(producer(settings.bootstrap), ending.fail)
    disk = LocalDisk(settings.data)
    transform = TransformParts(settings.data, disk, definitions, registry, outbox)
    materialize = MaterializeParts(settings.data, disk, definitions, DatabaseResources.of_sizes(), outbox)
    async with contextlib.AsyncExitStack() as stack:
        await server.start()
        stack.push_async_callback(server.stop)
        await _until_kafka_answers(settings)
        for follower in (definitions, registry):
            follower.start()
            stack.push_async_callback(asyncio.to_thread, follower.stop)
        await _caught_up(definitions)
        outbox.start()
        stack.push_async_callback(asyncio.to_thread, outbox.stop)
        app = make_app()
        intakes += [
            Intake(
                IntakeSettings(
                    settings.bootstrap,
                    TRANSFORM_GROUP,
                    TRANSFORM_BATCH,
                    reset_to_earliest=True,
                    gather_seconds=0.0,
                ),
                topics=lambda: list(_source_topics(definitions)),
                make_owner=lambda topic, partition: TransformPartition(
                    transform, *_source_topics(definitions)[topic], partition
                ),
                send=add_agent(app, "transform", ending.fail),
                fail=ending.fail,
            ),
            Intake(
                IntakeSettings(
                    settings.bootstrap,
                    MATERIALIZE_GROUP,
                    MATERIALIZE_BATCH,
                    reset_to_earliest=False,
                    gather_seconds=GATHER_SECONDS,
                ),
                topics=lambda: [updates_topic(workspace) for workspace in definitions.workspaces()],
                make_owner=lambda topic, partition: MaterializePartition(
                    materialize, topic.removesuffix(updates_topic("")), partition
                ),
                send=add_agent(app, "materialize", ending.fail),
                fail=ending.fail,
            ),
        ]
        await app.start()
        stack.push_async_callback(app.stop)
        for intake in intakes:
            definitions.subscribe(intake.refresh)
            intake.start()
            stack.push_async_callback(asyncio.to_thread, intake.stop)
        watchdog.start()
        stack.push_async_callback(asyncio.to_thread, watchdog.stop)
        starting.clear()
        _log.info("processor runs", operations=server.url)
        await ending.happened.wait()
    return ending.exit_code()


def _source_topics(definitions: DefinitionsFollower) -> dict[str, tuple[str, str]]:
    """Returns (workspace, source) by source topic, of all workspaces."""
    found = {}
    for workspace in definitions.workspaces():
        plan = definitions.plan(workspace)
        for source in plan.sources if plan is not None else ():
            found[source_topic(workspace, source)] = (workspace, source)
    return found


async def _until_kafka_answers(settings: Settings) -> None:
    while True:
        try:
            await asyncio.to_thread(ensure_topics, settings.bootstrap, control_topics(settings.replication))
        except (UnavailableError, KafkaException) as error:
            _log.warning("waiting for Kafka", problem=str(error))
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return


async def _caught_up(definitions: DefinitionsFollower) -> None:
    while True:
        try:
            await asyncio.to_thread(definitions.wait_caught_up, STARTUP_SECONDS)
        except TimeoutError as error:
            _log.warning("waiting for definitions", problem=str(error))
        else:
            return
