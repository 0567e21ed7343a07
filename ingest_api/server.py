"""The ingest process, from its settings to its exit code.

1. Open the access store and begin to listen, so that probes are answered: not ready.
2. Make sure of the topics that every process needs, as soon as Kafka answers.
3. Follow the definitions and the registrations of schemas; read the answers of every workspace; warm the producer.
4. Once the definitions were read to their end and answers are read, requests are taken.
5. Run until SIGTERM or SIGINT, or until a Kafka client cannot go on.

Invariant: Kafka being away is answered 503 and ends by itself; only what this process cannot mend ends the process.
"""

import asyncio
import contextlib
import random
import signal
from collections.abc import Coroutine, Mapping
from typing import Any, Final

from access.authentication import Authenticator
from access.store.accounts import AccessStore
from infra.http.server import HttpServer
from infra.installation import installation_of
from infra.kafka.clients import ensure_topics
from infra.kafka.definitions import DefinitionsLog
from infra.kafka.schema_registry import SchemaRegistry
from infra.kafka.topics import control_topics
from infra.logs import get_logger
from infra.process.exit_codes import ExitCode
from infra.settings import Settings
from ingest_api.app import ingest_app, no_room
from ingest_api.ingestion.ack_consumer import AckConsumer
from ingest_api.ingestion.answers import Answers
from ingest_api.ingestion.pending import MAX_REQUESTS
from ingest_api.ingestion.pipeline import Ingestion
from ingest_api.ingestion.publisher import Delivery, Publisher
from ingest_api.registry.routes import registry_routes
from ingest_api.registry.subject_rights import SubjectRights
from ingest_api.service import IngestService
from schemas.errors import UnavailableError
from schemas.messages.updates import Ack
from schemas.topics import source_topic

READ_SECONDS: Final = 2.0
"""How long one attempt to reach Kafka takes; it is repeated, and bounds how long a stop waits."""

PAUSE_SECONDS: Final = 0.2

CONCURRENCY: Final = 2 * MAX_REQUESTS
"""Of the HTTP server: above the limit of waiting requests, so that the dialect's own answer is what callers see."""

DELIVERY_MARGIN_SECONDS: Final = 2.0
"""How long before the ack deadline a record that Kafka has not confirmed is given up (librdkafka looks once a second),
so that callers hear that Kafka is away and not merely that time is up; at most half of the deadline."""

_log = get_logger(__name__)


class IngestApi:
    """The parts of an ingest process, put together; for use by one event loop.

    Args:
        settings: of the process.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._access = AccessStore.open(settings.data)
        self._authenticator = Authenticator(self._access)
        self._definitions = DefinitionsLog(settings.bootstrap)
        self._registry = SchemaRegistry(settings.bootstrap, replication=settings.replication)
        self._answers = Answers(settings.ack_deadline_seconds)
        deadline = settings.ack_deadline_seconds
        delivery_timeout = max(deadline - DELIVERY_MARGIN_SECONDS, deadline / 2)
        self._publisher = Publisher(settings.bootstrap, self._on_deliveries, self._on_fatal, delivery_timeout)
        self._replies = AckConsumer(settings.bootstrap, self._on_acks, self._on_fatal, random.SystemRandom())
        installation = installation_of(settings)
        self._ingestion = Ingestion(self._definitions, self._publisher, self._replies, self._answers, installation)
        service = IngestService(self._authenticator, self._ingestion, settings.workspace)
        app = ingest_app(service, registry_routes(self._registry, self._rights), self.missing)
        self.server = HttpServer(
            app, settings.host, settings.ingest_port, limit_concurrency=CONCURRENCY, refuse=no_room
        )
        self._problem = "Kafka has not answered yet"
        self._warmed: set[tuple[str, int]] = set()
        self._changed = asyncio.Event()
        self._fatal: str | None = None
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Answer requests until `stop`; returns the exit code.

        Raises:
            SettingsError: the address cannot be bound, or Kafka refuses the settings.
        """
        self._definitions.subscribe(lambda: self._from_thread(self._changed.set))
        following = False
        try:
            await self.server.start()
            _log.info("ingest API listens", url=self.server.url)
            following = await self._reach_kafka()
            if following:
                self._start()
                await self._until_stopped(self._read_definitions())
                await self._until_stopped(self._follow_plans())
            await self._stop.wait()
        finally:
            await self.server.stop()
            if following:
                await asyncio.to_thread(self._end)
            self._access.close()
        if self._fatal is not None:
            _log.error("ingest API ends", reason=self._fatal)
            return ExitCode.UNAVAILABLE
        return ExitCode.OK

    def stop(self) -> None:
        """End `run`."""
        self._stop.set()

    def missing(self) -> Mapping[str, str]:
        """Return what keeps the process from being ready, by name; of workspaces, only the default one counts."""
        reasons: dict[str, str] = {}
        workspace = self._settings.workspace
        if not self._ingestion.complete:
            reasons["definitions"] = f"not read to their end yet: {self._definitions.failure or self._problem}"
        elif (problem := self._definitions.failure or self._definitions.unreadable(workspace)) is not None:
            reasons["definitions"] = problem
        if self._replies.failure is not None:
            reasons["answers"] = self._replies.failure
        elif self._definitions.plan(workspace) is not None and self._replies.partition_of(workspace) is None:
            reasons["answers"] = f"not read yet for workspace {workspace}"
        if self._fatal is not None:
            reasons["kafka"] = self._fatal
        return reasons

    def _rights(self, authorization: str | None) -> SubjectRights:
        return SubjectRights(self._authenticator.authenticate(authorization), self._settings.workspace)

    def _start(self) -> None:
        self._definitions.start()
        self._registry.start()
        self._publisher.start()
        self._replies.start()

    def _end(self) -> None:
        self._publisher.stop()
        self._replies.stop()
        self._registry.stop()
        self._definitions.stop()

    async def _reach_kafka(self) -> bool:
        """Wait until the topics that every process needs exist; false if it was asked to stop first."""
        topics = control_topics(self._settings.replication)
        while not self._stop.is_set():
            try:
                await asyncio.to_thread(ensure_topics, self._settings.bootstrap, topics, READ_SECONDS)
            except UnavailableError as error:
                self._problem = error.message
                await self._pause()
            else:
                self._problem = "reading"
                return True
        return False

    async def _read_definitions(self) -> None:
        while not self._ingestion.complete:
            try:
                await asyncio.to_thread(self._definitions.wait_caught_up, READ_SECONDS)
            except TimeoutError as error:
                self._problem = str(error)
                await self._pause()
            else:
                self._ingestion.complete = True
                _log.info("definitions read")

    async def _follow_plans(self) -> None:
        """Read the answers of each workspace, and warm the producer for each source, as soon as there is one."""
        while True:
            self._changed.clear()
            workspaces = self._definitions.workspaces()
            self._replies.follow(workspaces)
            for workspace in workspaces:
                plan = self._definitions.plan(workspace)
                for source in () if plan is None else plan.sources.values():
                    await self._warm(source_topic(workspace, source.name), source.partitions)
            await self._changed.wait()

    async def _warm(self, topic: str, partitions: int) -> None:
        """Make the producer know a topic, anew when it has grown: by itself it looks every five minutes only."""
        if (topic, partitions) in self._warmed:
            return
        with contextlib.suppress(UnavailableError):  # the first record will be slower, no more
            await asyncio.to_thread(self._publisher.warm, topic)
            self._warmed.add((topic, partitions))

    async def _until_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Run until done or asked to stop."""
        task = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if task.done():
            task.result()
        else:
            task.cancel()
        await asyncio.wait({task, stopping})

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), PAUSE_SECONDS)

    def _on_acks(self, acks: list[Ack]) -> None:
        self._from_thread(self._answers.take, acks)

    def _on_deliveries(self, deliveries: list[Delivery]) -> None:
        self._from_thread(self._answers.deliver, deliveries)

    def _on_fatal(self, reason: str) -> None:
        self._fatal = reason
        self._from_thread(self._stop.set)

    def _from_thread(self, function: Any, *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
            self._loop.call_soon_threadsafe(function, *arguments)


async def run_ingest_api(settings: Settings) -> int:
    """Run the ingest process until SIGTERM or SIGINT; returns its exit code.

    Raises:
        SettingsError: the address cannot be bound, or Kafka refuses the settings.
        StorageError: the access store cannot be opened.
    """
    api = IngestApi(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, api.stop)
    return await api.run()
