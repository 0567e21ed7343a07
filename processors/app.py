"""A processor process: followers, database resources, two intakes, two agents, health, and how it ends.

Invariant: whatever fails ends the process with an exit code that tells, after the partitions were let go; nothing of
what was not finished is committed. Kafka being away is no failure: the process waits, and readiness says for what.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.applications import Starlette

from infra.database.layout import DatabaseResources
from infra.http.operations import operations_routes
from infra.http.server import HttpServer
from infra.installation import installation_of
from infra.kafka.clients import ensure_topics, producer, warm
from infra.kafka.definitions import DefinitionsLog
from infra.kafka.schema_registry import SchemaRegistry
from infra.kafka.topics import control_topics
from infra.logs import get_logger
from infra.process.startup import ExitLatch, Startup
from infra.processor_urls import announced
from infra.segments.disk import LocalDisk
from infra.settings import Settings
from processors.consumer.faust_channels import add_agent, make_app, stop_app
from processors.consumer.intake import Intake, IntakeSettings
from processors.consumer.watchdog import SILENCE_SECONDS, Progress, Watchdog
from processors.execution.functions import ViewFunctions
from processors.materialize.held_clock import host_clocks
from processors.materialize.worker import MaterializeShared, MaterializeWorker
from processors.producer.sender import DeliveryProducer
from processors.transform.worker import TransformShared, TransformWorker
from schemas.definitions.plan import Plan
from schemas.instants import HOUR
from schemas.topics import DEFINITIONS_TOPIC, materialize_group, source_topic, transform_group, updates_topic

TRANSFORM_BATCH: Final = 1_000  # records per poll
MATERIALIZE_BATCH: Final = 128  # update messages per poll, each of up to 256 KiB
GATHER_SECONDS: Final = 0.01  # under load, state is written at most 100 times a second (docs/design.md, "Online state")
ISOLATION_SHARE: Final = 0.5  # of the watchdog's patience: what a record that runs alone may take
OPERATIONS_REQUESTS: Final = 16

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Applied:
    """The newest plans of the workspaces that this process works for: of ``names``, or of all if there are none."""

    definitions: DefinitionsLog
    names: frozenset[str]

    def plans(self) -> list[Plan]:
        plans = [self.definitions.plan(name) for name in self.definitions.workspaces()]
        return [plan for plan in plans if plan is not None and (plan.workspace in self.names or not self.names)]

    def workspaces(self) -> dict[str, Plan]:
        """Returns the plans by updates topic."""
        return {updates_topic(plan.workspace): plan for plan in self.plans()}

    def sources(self) -> dict[str, tuple[Plan, str]]:
        """Returns (plan, source) by source topic."""
        return {
            source_topic(plan.workspace, source): (plan, source)
            for plan in self.plans()
            for source in plan.read_sources()
        }


async def run_processor(settings: Settings) -> int:
    """Runs a processor until its task is cancelled or something fails; returns the exit code."""
    ending = ExitLatch()
    installation = installation_of(settings)
    intakes: dict[str, Intake] = {}
    registry = SchemaRegistry(settings.bootstrap, replication=settings.replication)
    definitions = DefinitionsLog(settings.bootstrap)
    startup = Startup(
        partial(ensure_topics, settings.bootstrap, control_topics(settings.replication)), definitions.read_to_end
    )
    applied = _Applied(definitions, frozenset(filter(None, settings.workspaces.split(","))))
    functions = ViewFunctions(settings.code_retry_seconds)
    outboxes: list[DeliveryProducer] = []  # one, once Kafka has answered

    def undelivered() -> str | None:
        return next((outbox.problem for outbox in outboxes), None)

    def progress() -> Progress:
        if undelivered():
            return {}  # nothing can move while Kafka takes nothing: an outage, and no reason to end
        return {where: how for intake in intakes.values() for where, how in intake.progress().items()}

    watchdog = Watchdog(
        progress,
        settings.watchdog_seconds,
        beats=lambda: {f"intake {name}": intake.beats for name, intake in intakes.items()},
        silence=max(settings.watchdog_seconds, SILENCE_SECONDS),
    )

    def readiness() -> dict[str, str]:
        reasons = {
            "startup": startup.problem,
            "definitions": definitions.failure or definitions.unreadable(settings.workspace),
            "registry": registry.failure,
            "progress": watchdog.problem,
            "deliveries": undelivered(),
        }
        reasons |= {name: intake.problem for name, intake in intakes.items()}
        return {name: reason for name, reason in reasons.items() if reason}

    server = HttpServer(
        Starlette(routes=operations_routes(readiness, lambda: {"failed_views": functions.failed()})),
        settings.host,
        settings.processor_port,
        limit_concurrency=OPERATIONS_REQUESTS,
    )
    async with contextlib.AsyncExitStack() as stack:
        await server.start()
        stack.push_async_callback(server.stop)
        stack.enter_context(announced(settings.data, server.url))
        await startup.reach_kafka()
        for follower in (definitions, registry):
            follower.start()
            stack.push_async_callback(asyncio.to_thread, follower.stop)
        await startup.read_definitions()
        stack.push_async_callback(functions.stop)
        definitions.subscribe(_from_any_thread(lambda: functions.follow(applied.plans())))
        functions.follow(applied.plans())  # code is loaded while the consumer groups are joined
        client = producer(settings.bootstrap, delivery_timeout_seconds=None)
        await asyncio.to_thread(warm, client, DEFINITIONS_TOPIC)
        outbox = DeliveryProducer(client, ending.fail)
        outbox.start()
        outboxes.append(outbox)
        stack.push_async_callback(asyncio.to_thread, outbox.stop)
        app = make_app()
        disk = LocalDisk(settings.data)
        transform = TransformShared(
            settings.data,
            disk,
            definitions,
            registry,
            outbox,
            settings.watchdog_seconds * ISOLATION_SHARE,
            installation,
            functions,
            add_agent(app, "transform", ending.fail),
        )
        materialize = MaterializeShared(
            settings.data,
            disk,
            definitions,
            DatabaseResources.of_sizes(),
            outbox,
            installation,
            host_clocks(round(settings.clock_hold_hours * HOUR)),
            add_agent(app, "materialize", ending.fail),
        )

        intakes["transform"] = _transform_intake(settings, applied, transform, ending.fail)
        intakes["materialize"] = _materialize_intake(settings, applied, materialize, ending.fail)
        await app.start()
        stack.push_async_callback(stop_app, app)
        stack.push_async_callback(_stop_all, intakes)
        for intake in intakes.values():
            definitions.subscribe(intake.refresh)
            intake.start()
        watchdog.start()
        stack.push_async_callback(asyncio.to_thread, watchdog.stop)
        startup.finish()
        _log.info("processor runs", operations=server.url)
        return await ending.exit_code()


def _from_any_thread(call: Callable[[], None]) -> Callable[[], None]:
    """Returns a function that has another one called in this event loop."""
    loop = asyncio.get_running_loop()

    def soon() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process has ended already
            loop.call_soon_threadsafe(call)

    return soon


async def _stop_all(intakes: dict[str, Intake]) -> None:
    await asyncio.gather(*(asyncio.to_thread(intake.stop) for intake in intakes.values()))


def _transform_intake(
    settings: Settings, applied: _Applied, parts: TransformShared, fail: Callable[[BaseException], None]
) -> Intake:
    def owner(topic: str, partition: int) -> TransformWorker | None:
        plan, source = applied.sources().get(topic, (None, ""))
        return None if plan is None else TransformWorker(parts, plan, source, partition)

    return Intake(
        IntakeSettings(
            settings.bootstrap,
            transform_group(parts.installation),
            TRANSFORM_BATCH,
            reset_to_earliest=True,
            gather_seconds=0.0,
        ),
        topics=lambda: list(applied.sources()),
        make_owner=owner,
        send=parts.send,
        fail=fail,
    )


def _materialize_intake(
    settings: Settings, applied: _Applied, parts: MaterializeShared, fail: Callable[[BaseException], None]
) -> Intake:
    def owner(topic: str, partition: int) -> MaterializeWorker | None:
        plan = applied.workspaces().get(topic)
        if plan is None or partition >= plan.partitions:  # more than rows are sent to: somebody has grown the topic
            return None
        return MaterializeWorker(parts, plan, partition, intake.beat)

    intake = Intake(
        IntakeSettings(
            settings.bootstrap,
            materialize_group(parts.installation),
            MATERIALIZE_BATCH,
            reset_to_earliest=False,
            gather_seconds=GATHER_SECONDS,
        ),
        topics=lambda: list(applied.workspaces()),
        make_owner=owner,
        send=parts.send,
        fail=fail,
    )
    return intake
