"""The serving process, from its settings to its exit code.

1. Open the access store and begin to listen, so that probes are answered: not ready.
2. Make sure of the topics that every process needs, as soon as Kafka answers.
3. Follow the definitions; once they were read to their end, reads are answered.
4. Run until the task is cancelled, as SIGTERM and SIGINT do (`infra.process.startup`).

Invariant: Kafka being away never stops reads of what is known: once definitions were read, only state is needed.
"""

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from typing import Final

from access.authentication import Authenticator
from access.store.accounts import AccessStore
from infra.database.layout import DatabaseResources
from infra.http.operations import operations_api
from infra.http.server import HttpServer
from infra.installation import installation_of
from infra.kafka.clients import ensure_topics
from infra.kafka.definitions import DefinitionsLog
from infra.kafka.topics import control_topics
from infra.logs import get_logger
from infra.process.exit_codes import ExitCode
from infra.process.startup import Startup
from infra.settings import Settings
from schemas.instants import of_nanoseconds
from schemas.limits import MAX_READ_CONCURRENCY
from serving.readiness import StateReadiness
from serving.reads.pipeline import ReadPipeline
from serving.reads.service import Services
from serving.reads.state import OnlineState
from serving.tecton.api import TECTON

_log = get_logger(__name__)


READ_APIS: Final = (TECTON,)
"""What the process reads for; the first answers for paths that are nobody's."""


def wall_clock() -> int:
    """Returns µs since the epoch."""
    return of_nanoseconds(time.time_ns())


class Serving:
    """The parts of a serving process, put together; for use by one event loop.

    Args:
        settings: of the process.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._access = AccessStore.open(settings.data, settings.access_url)
        self._state = OnlineState(settings.data, DatabaseResources.of_sizes())
        self._definitions = DefinitionsLog(settings.bootstrap)
        self._authenticator = Authenticator(self._access)
        dialects = [dialect for api in READ_APIS for dialect in api.dialects]
        self._services = Services(self._definitions, dialects, installation_of(settings))
        pipeline = ReadPipeline(self._services, self._state, self._authenticator, settings.workspace, wall_clock)
        apis = [api.mount(pipeline) for api in READ_APIS]
        operations = operations_api("Headrace serving API", self.missing, described=apis)
        self.server = HttpServer(
            [*apis, operations], settings.host, settings.serving_port, limit_concurrency=MAX_READ_CONCURRENCY
        )
        self._readiness = StateReadiness(settings.workspace, self._partitions, self._open_partition)
        topics = control_topics(settings.replication)
        self._startup = Startup(partial(ensure_topics, settings.bootstrap, topics), self._definitions.read_to_end)

    async def run(self) -> None:
        """Serves until it is cancelled.

        Raises:
            SettingsError: the address cannot be bound, or Kafka refuses the settings.
        """
        loop = asyncio.get_running_loop()

        def refresh_soon() -> None:
            loop.call_soon_threadsafe(self._services.refresh)

        self._definitions.subscribe(refresh_soon)
        following = False
        try:
            await self.server.start()
            _log.info("serving listens", url=self.server.url)
            await self._startup.reach_kafka()
            following = True
            self._definitions.start()
            await self._startup.read_definitions()
            self._services.refresh()
            self._services.complete = True
            self._startup.finish()
            await self._readiness.run()  # what ends it ends the process: probes would be told what was true once
        finally:
            await self.server.stop()
            if following:
                await asyncio.to_thread(self._definitions.stop)
            self._state.close()
            self._authenticator.close()
            self._access.close()

    def missing(self) -> Mapping[str, str]:
        """Returns what keeps the process from being ready, by name."""
        if not self._services.complete:
            return {"definitions": f"not read to their end yet: {self._definitions.failure or self._startup.problem}"}
        return self._readiness.missing()

    def _partitions(self) -> int:
        plan = self._services.plan(self._settings.workspace)
        return 0 if plan is None else plan.partitions

    def _open_partition(self, number: int) -> None:
        self._state.open(self._settings.workspace, number)


async def run_serving(settings: Settings) -> int:
    """Runs the serving process until its task is cancelled; returns its exit code.

    Raises:
        SettingsError: the address cannot be bound, or Kafka refuses the settings.
        StorageError: the access store cannot be opened.
    """
    await Serving(settings).run()
    return ExitCode.OK
