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

from infra.database.layout import DatabaseResources
from infra.http.operations import operations_api
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
from schemas.limits import MAX_OPERATIONS_REQUESTS
from schemas.topics import DEFINITIONS_TOPIC, materialize_group, source_topic, transform_group, updates_topic

TRANSFORM_BATCH: Final = 1_000  # records per poll
MATERIALIZE_BATCH: Final = 128  # update messages per poll, each of up to 256 KiB
GATHER_SECONDS: Final = 0.01  # under load, state is written at most 100 times a second (docs/design.md §3)
ISOLATION_SHARE: Final = 0.5  # of the watchdog's patience: what a record that runs alone may take

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Applied:
    """The newest plans of the workspaces that this process works for: of ``names``, or of all if there are none."""

    definitions: DefinitionsLog
    names: frozenset[str]

    def plans(self) -> list[Plan]:
        plans = [self.definitions.plan(name) for name in self.definitions.workspaces()]
        return [plan for plan in plans if plan is not None and (plan.workspace in self.names or not self.names)]

    def unreadable(self) -> str | None:
        """Returns which of these workspaces have a newer plan that cannot be used, and why; None if none has."""
        names = self.names or self.definitions.workspaces()
        problems = {name: self.definitions.unreadable(name) for name in sorted(names)}
        return "; ".join(f"workspace {name}: {problem}" for name, problem in problems.items() if problem) or None

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
    """Runs a processor until its task is cancelled or something fails; returns the exit code.

    What a step opens is closed on the way out, in reverse: nobody is left who needs what is closed.
    """
    processor = _Processor(settings)
    async with contextlib.AsyncExitStack() as stack:
        operations = await processor.tell_health(stack)
        await processor.follow(stack)
        processor.load_code(stack)
        deliveries = await processor.begin_delivery(stack)
        await processor.process(stack, deliveries)
        processor.watch(stack)
        return await processor.run(operations)


class _Processor:
    """What a processor consists of, and the steps in which it comes up: each needs those before it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._installation = installation_of(settings)
        self._ending = ExitLatch()
        self._registry = SchemaRegistry(settings.bootstrap, replication=settings.replication)
        self._definitions = DefinitionsLog(settings.bootstrap)
        self._startup = Startup(
            partial(ensure_topics, settings.bootstrap, control_topics(settings.replication)),
            self._definitions.read_to_end,
        )
        self._applied = _Applied(self._definitions, frozenset(filter(None, settings.workspaces.split(","))))
        self._functions = ViewFunctions(settings.code_retry_seconds)
        self._deliveries: DeliveryProducer | None = None
        self._intakes: dict[str, Intake] = {}
        self._watchdog = Watchdog(
            self._progress,
            settings.watchdog_seconds,
            beats=lambda: {f"intake {name}": intake.beats for name, intake in self._intakes.items()},
            silence=max(settings.watchdog_seconds, SILENCE_SECONDS),
        )

    async def tell_health(self, stack: contextlib.AsyncExitStack) -> str:
        """Serves operations, first of all, so that the process tells what it waits for; returns their URL."""
        server = HttpServer(
            [operations_api("Headrace processor", self._problems, lambda: {"failed_views": self._functions.failed()})],
            self._settings.host,
            self._settings.processor_port,
            limit_concurrency=MAX_OPERATIONS_REQUESTS,
        )
        await server.start()
        stack.push_async_callback(server.stop)
        stack.enter_context(announced(self._settings.data, server.url))
        return server.url

    async def follow(self, stack: contextlib.AsyncExitStack) -> None:
        """Follows definitions and schemas, once Kafka answers, and waits until all definitions are here."""
        await self._startup.reach_kafka()
        for follower in (self._definitions, self._registry):
            follower.start()
            stack.push_async_callback(asyncio.to_thread, follower.stop)
        await self._startup.read_definitions()

    def load_code(self, stack: contextlib.AsyncExitStack) -> None:
        """Begins to load the code of all views, also of plans to come: while the consumer groups are joined."""
        stack.push_async_callback(self._functions.stop)
        self._definitions.subscribe(_from_any_thread(lambda: self._functions.follow(self._applied.plans())))
        self._functions.follow(self._applied.plans())

    async def begin_delivery(self, stack: contextlib.AsyncExitStack) -> DeliveryProducer:
        """Returns what partitions send through, warm: the first batch is to be no slower than the others."""
        client = producer(self._settings.bootstrap, delivery_timeout_seconds=None)
        await asyncio.to_thread(warm, client, DEFINITIONS_TOPIC)
        deliveries = self._deliveries = DeliveryProducer(client, self._ending.fail)
        deliveries.start()
        stack.push_async_callback(asyncio.to_thread, deliveries.stop)
        return deliveries

    async def process(self, stack: contextlib.AsyncExitStack, deliveries: DeliveryProducer) -> None:
        """Starts the agents, and then the intakes: what is read has somebody who takes it."""
        settings, fail = self._settings, self._ending.fail
        app = make_app()
        disk = LocalDisk(settings.data)
        transform = TransformShared(
            settings.data,
            disk,
            self._definitions,
            self._registry,
            deliveries,
            settings.watchdog_seconds * ISOLATION_SHARE,
            self._installation,
            self._functions,
            add_agent(app, "transform", fail),
        )
        materialize = MaterializeShared(
            settings.data,
            disk,
            self._definitions,
            DatabaseResources.of_sizes(),
            deliveries,
            self._installation,
            host_clocks(round(settings.clock_hold_hours * HOUR)),
            add_agent(app, "materialize", fail),
        )
        stack.callback(transform.dead_letters.close)
        self._intakes["transform"] = _transform_intake(settings, self._applied, transform, fail)
        self._intakes["materialize"] = _materialize_intake(settings, self._applied, materialize, fail)
        await app.start()
        stack.push_async_callback(stop_app, app)
        stack.push_async_callback(_stop_all, self._intakes)
        for intake in self._intakes.values():
            self._definitions.subscribe(intake.refresh)
            intake.start()

    def watch(self, stack: contextlib.AsyncExitStack) -> None:
        """Has the process end if it stands still; from now on, as a start may take as long as it takes."""
        self._watchdog.start()
        stack.push_async_callback(asyncio.to_thread, self._watchdog.stop)

    async def run(self, operations: str) -> int:
        """Waits for the failure that ends the process; returns the exit code that tells of it."""
        self._startup.finish()
        _log.info("processor runs", operations=operations)
        return await self._ending.exit_code()

    def _undelivered(self) -> str | None:
        return None if self._deliveries is None else self._deliveries.problem

    def _progress(self) -> Progress:
        if self._undelivered():
            return {}  # nothing can move while Kafka takes nothing: an outage, and no reason to end
        return {where: how for intake in self._intakes.values() for where, how in intake.progress().items()}

    def _problems(self) -> dict[str, str]:
        """Returns why the process is not ready, by part."""
        reasons = {
            "startup": self._startup.problem,
            "definitions": self._definitions.failure or self._applied.unreadable(),
            "registry": self._registry.failure,
            "progress": self._watchdog.problem,
            "deliveries": self._undelivered(),
        }
        reasons |= {name: intake.problem for name, intake in self._intakes.items()}
        return {name: reason for name, reason in reasons.items() if reason}


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
