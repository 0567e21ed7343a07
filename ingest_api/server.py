"""The ingest process, from its settings to its exit code.

1. Open the access store and begin to listen, so that probes are answered: not ready.
2. Make sure of the topics that every process needs, as soon as Kafka answers.
3. Follow the definitions and the registrations of schemas; read the answers of every workspace; warm the producer.
4. Once the definitions were read to their end and answers are read, requests are taken.
5. Run until the task is cancelled, as SIGTERM and SIGINT do (`infra.process.startup`), or a Kafka client cannot go on.

Invariant: Kafka being away is answered 503 and ends by itself; only what this process cannot mend ends the process.
"""

import asyncio
import contextlib
import random
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from access.authentication import Authenticator
from access.store.accounts import AccessStore
from infra.http.operations import operations_api
from infra.http.server import HttpServer
from infra.installation import installation_of
from infra.kafka.clients import ensure_topics
from infra.kafka.definitions import DefinitionsLog
from infra.kafka.schema_registry import SchemaRegistry
from infra.kafka.topics import control_topics
from infra.logs import get_logger
from infra.process.startup import ExitLatch, Startup
from infra.settings import Settings
from ingest_api.ingestion.ack_consumer import AckConsumer
from ingest_api.ingestion.answers import Answers
from ingest_api.ingestion.dialect import CallLimits
from ingest_api.ingestion.pipeline import IngestService
from ingest_api.ingestion.publish_and_wait import Ingestion
from ingest_api.ingestion.publisher import Delivery, Publisher
from ingest_api.ingestion.rates import Rate
from ingest_api.registry.routes import registry_api
from ingest_api.registry.subject_rights import SubjectRights
from ingest_api.snowflake.api import snowflake_api
from ingest_api.tecton.api import tecton_api
from schemas.errors import UnavailableError
from schemas.limits import MAX_INGEST_CONCURRENCY
from schemas.messages.updates import Ack
from schemas.topics import source_topic

DELIVERY_MARGIN_SECONDS: Final = 2.0
"""How long before the ack deadline a record that Kafka has not confirmed is given up (librdkafka looks once a second),
so that callers hear that Kafka is away and not merely that time is up; at most half of the deadline."""

INGEST_APIS: Final = (snowflake_api, tecton_api)
"""What the process ingests for; the first answers for paths that are nobody's."""

_log = get_logger(__name__)


class IngestApi:
    """The parts of an ingest process, put together; for use by one event loop.

    Args:
        settings: of the process.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._access = AccessStore.open(settings.data, settings.access_url)
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
        self._service = IngestService(
            self._authenticator,
            self._ingestion,
            settings.workspace,
            installation,
            CallLimits(settings.ingest_sources, settings.ingest_records_per_source),
            Rate(settings.ingest_account_rate, "Account"),
            Rate(settings.ingest_source_rate, "Source"),
        )
        apis = [*(mount(self._service) for mount in INGEST_APIS), registry_api(self._registry, self._rights)]
        operations = operations_api("Headrace ingest API", self.missing, described=apis)
        self.server = HttpServer(
            [*apis, operations], settings.host, settings.ingest_port, limit_concurrency=MAX_INGEST_CONCURRENCY
        )
        topics = control_topics(settings.replication)
        self._startup = Startup(partial(ensure_topics, settings.bootstrap, topics), self._definitions.read_to_end)
        self._latch = ExitLatch()
        self._following = False
        self._warmed: set[tuple[str, int]] = set()
        self._changed = asyncio.Event()

    async def run(self) -> int:
        """Answers requests until it is cancelled, or a Kafka client cannot go on; returns the exit code.

        Raises:
            SettingsError: the address cannot be bound, or Kafka refuses the settings.
        """
        self._definitions.subscribe(lambda: self._from_thread(self._changed.set))
        try:
            return await self._latch.run(self._work())
        finally:
            await self.server.stop()
            await self._service.rehearsals.stop()
            if self._following:
                await asyncio.to_thread(self._end)
            self._authenticator.close()
            self._access.close()

    async def _work(self) -> None:
        await self.server.start()
        _log.info("ingest API listens", url=self.server.url)
        await self._startup.reach_kafka()
        self._start()
        await self._startup.read_definitions()
        self._ingestion.complete = True
        self._startup.finish()
        await self._follow_plans()

    def missing(self) -> Mapping[str, str]:
        """Returns what keeps the process from being ready, by name; of workspaces, only the default one counts."""
        reasons: dict[str, str] = {}
        workspace = self._settings.workspace
        if not self._ingestion.complete:
            reasons["definitions"] = f"not read to their end yet: {self._definitions.failure or self._startup.problem}"
        elif (problem := self._definitions.failure or self._definitions.unreadable(workspace)) is not None:
            reasons["definitions"] = problem
        if self._replies.failure is not None:
            reasons["answers"] = self._replies.failure
        elif self._definitions.plan(workspace) is not None and self._replies.partition_of(workspace) is None:
            reasons["answers"] = f"not read yet for workspace {workspace}"
        if self._latch.error is not None:
            reasons["kafka"] = str(self._latch.error)
        return reasons

    async def _rights(self, authorization: str | None) -> SubjectRights:
        return SubjectRights(await self._authenticator.authenticate(authorization), self._settings.workspace)

    def _start(self) -> None:
        self._following = True
        self._definitions.start()
        self._registry.start()
        self._publisher.start()
        self._replies.start()

    def _end(self) -> None:
        self._publisher.stop()
        self._replies.stop()
        self._registry.stop()
        self._definitions.stop()

    async def _follow_plans(self) -> None:
        """Reads the answers of each workspace, and warm the producer for each source, as soon as there is one."""
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
        """Makes the producer know a topic, anew when it has grown: by itself it looks every five minutes only."""
        if (topic, partitions) in self._warmed:
            return
        with contextlib.suppress(UnavailableError):  # the first record will be slower, no more
            await asyncio.to_thread(self._publisher.warm, topic)
            self._warmed.add((topic, partitions))

    def _on_acks(self, acks: list[Ack]) -> None:
        self._from_thread(self._answers.take, acks)

    def _on_deliveries(self, deliveries: list[Delivery]) -> None:
        self._from_thread(self._answers.deliver, deliveries)

    def _on_fatal(self, reason: str) -> None:
        self._latch.fail(UnavailableError(reason))

    def _from_thread(self, function: Any, *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
            self._loop.call_soon_threadsafe(function, *arguments)


async def run_ingest_api(settings: Settings) -> int:
    """Runs the ingest process until its task is cancelled, or it cannot go on; returns its exit code.

    Raises:
        SettingsError: the address cannot be bound, or Kafka refuses the settings.
        StorageError: the access store cannot be opened.
    """
    return await IngestApi(settings).run()
