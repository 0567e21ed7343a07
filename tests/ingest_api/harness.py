"""The ingest API around processors that a test plays: in one event loop without Kafka, or over a socket with it."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import msgspec
import uvloop
from starlette.types import ASGIApp

from access.authentication import Authenticator
from access.roles import Role
from access.store.accounts import AccessStore
from infra.http import api as http_api
from infra.http.dispatch import Dispatcher
from infra.http.operations import operations_api
from infra.settings import Settings
from ingest_api.ingestion.answers import Answers
from ingest_api.ingestion.pipeline import IngestService
from ingest_api.ingestion.publish_and_wait import Ingestion
from ingest_api.ingestion.publisher import Delivery
from ingest_api.ingestion.rates import NO_LIMIT, Rate
from ingest_api.server import IngestApi
from ingest_api.snowflake.api import snowflake_api
from schemas.definitions.plan import Plan
from schemas.messages.updates import Ack, ReplyAddress, Transformed, Written, plan_header
from tests.support.plans import plan_of
from tests.support.waiting import wait_until

WORKSPACE = "prod"
INSTALLATION = "here"
STOP_SECONDS = 30.0

DEFINITIONS = """
from headrace import *

TRANSACTIONS = [Field("timestamp", Timestamp), Field("user_id", String), Field("amount", Float64),
    Field("merchant_category", String, required=False)]
CLICKS = [Field("timestamp", Timestamp), Field("session_id", String), Field("page", String),
    Field("duration_ms", Int64)]
user_id = Entity(name="user", join_keys=[Field("user_id", String)])
session_id = Entity(name="session", join_keys=[Field("session_id", String)])
"""

USER_VIEW = "user_transaction_features"
FRAUD_VIEW = "fraud_detection_features"
CLICK_VIEW = "session_features"


def source_text(name: str, schema: str = "TRANSACTIONS") -> str:
    return f'{name} = StreamSource(name="{name}", timestamp_field="timestamp", log_offline=True, schema={schema})\n'


def view_text(name: str, source: str, entity: str = "user_id") -> str:
    return f"""
@stream_feature_view(source={source}, entities=[{entity}], version="v1", timestamp_field="timestamp")
def {name}(record):
    return record
"""


def ingest_plan(*texts: str, workspace: str = WORKSPACE) -> Plan:
    """Returns the plan of sources and views; ids of views count from 0 by name."""
    return plan_of(DEFINITIONS + "".join(texts), workspace=workspace, schema_id=7, first_view=0, number=3)


def documented_plan(views: Mapping[str, str] | None = None) -> Plan:
    """The sources of the dialect's examples, and views by name with their source; order and ids are as given."""
    chosen = {USER_VIEW: "transactions_stream", CLICK_VIEW: "clickstream_events"} if views is None else views
    sources = [source_text("transactions_stream"), source_text("clickstream_events", "CLICKS")]
    entities = {"transactions_stream": "user_id", "clickstream_events": "session_id"}
    plan = ingest_plan(*sources, *(view_text(name, source, entities[source]) for name, source in chosen.items()))
    keys = [f"{name}@v1" for name in chosen]
    numbered = {key: msgspec.structs.replace(plan.views[key], id=number) for number, key in enumerate(keys)}
    return msgspec.structs.replace(plan, views=numbered)


Behaviour = Callable[[str, ReplyAddress], list[Ack]]
"""What the processors answer to a record of a topic."""


def stored_by(*views: int) -> Behaviour:
    def answer(_topic: str, reply: ReplyAddress) -> list[Ack]:
        sent = [(view, 0, 1) for view in views]
        return [
            Transformed(reply.request, reply.index, sent, []),
            *(Written(reply.request, reply.index, view, 0, 1) for view in views),
        ]

    return answer


def stored(plan: Plan) -> Behaviour:
    """Processors that store every record for all views of its source."""

    def answer(topic: str, reply: ReplyAddress) -> list[Ack]:
        views = [view.id for view in plan.views_of(topic.rpartition(".")[2])]
        return stored_by(*views)(topic, reply)

    return answer


@dataclass
class Loopback:
    """Kafka and processors in one: each record is answered at once. Also the source of plans."""

    newest: Plan | None
    behaviour: Behaviour
    answers: Answers | None = None
    failure: str | None = None
    reply_partition: int | None = 5
    refused: Exception | None = None
    published: list[tuple[str, int, bytes, ReplyAddress]] = field(default_factory=list)

    def plan(self, workspace: str) -> Plan | None:
        return self.newest if self.newest and self.newest.workspace == workspace else None

    def workspaces(self) -> tuple[str, ...]:
        return () if self.newest is None else (self.newest.workspace,)

    def read_to(self, workspace: str, number: int, timeout: float) -> None:
        raise AssertionError(f"nobody waits for plan {number} of {workspace}, {timeout} s")

    def partition_of(self, _workspace: str) -> int | None:
        return self.reply_partition

    def room_for(self, _records: int) -> None:
        if self.refused is not None:
            raise self.refused

    def publish(
        self, topic: str, partition: int, value: bytes, reply: ReplyAddress, plan: bytes, *, report_success: bool
    ) -> None:
        assert self.newest is not None
        assert plan == plan_header(self.newest.number)
        assert report_success is not bool(self.newest.views_of(topic.rpartition(".")[2]))
        self.published.append((topic, partition, value, reply))
        assert self.answers is not None
        loop = asyncio.get_running_loop()
        loop.call_soon(self.answers.take, self.behaviour(topic, reply))

    def deliver(self, reply: ReplyAddress, failure: str | None) -> None:
        assert self.answers is not None
        self.answers.deliver([Delivery(reply.request, reply.index, failure)])


@dataclass(frozen=True)
class Keys:
    editor: str
    viewer: str
    nobody: str
    elsewhere: str


def make_keys(store: AccessStore, workspace: str = WORKSPACE) -> Keys:
    def account(name: str, roles: dict[str, frozenset[Role]], bound: str | None = None) -> str:
        return store.create_account(name, roles, default_workspace=bound).key

    return Keys(
        editor=account("editor", {workspace: frozenset({Role.EDITOR})}),
        viewer=account("viewer", {workspace: frozenset({Role.VIEWER})}),
        nobody=account("nobody", {}),
        elsewhere=account("elsewhere", {"dev": frozenset({Role.EDITOR})}, bound="dev"),
    )


def authorization(key: str) -> dict[str, str]:
    return {"Authorization": f'Snowflake Token="{key}"'}


@dataclass(frozen=True)
class Api:
    """The application, a client with an editor's key, and what stands in for Kafka."""

    client: httpx.AsyncClient
    kafka: Loopback
    keys: Keys
    app: ASGIApp

    async def ingest(self, body: object, **headers: str) -> httpx.Response:
        return await self.client.post("/api/v1/ingest", json=body, headers=headers)


@contextlib.asynccontextmanager
async def api_without_kafka(
    data: Path,
    kafka: Loopback,
    *,
    deadline_seconds: float = 5.0,
    complete: bool = True,
    workspace: str = WORKSPACE,
    mounts: Sequence[Callable[[IngestService], http_api.Api]] = (snowflake_api,),
    account_rate: Rate = NO_LIMIT,
    source_rate: Rate = NO_LIMIT,
) -> AsyncIterator[Api]:
    store = AccessStore.open(data)
    try:
        keys = make_keys(store, workspace)
        kafka.answers = Answers(deadline_seconds)
        ingestion = Ingestion(kafka, kafka, kafka, kafka.answers, INSTALLATION)
        ingestion.complete = complete
        service = IngestService(
            Authenticator(store), ingestion, workspace, INSTALLATION, account_rate=account_rate, source_rate=source_rate
        )
        apis = [mount(service) for mount in mounts]
        app = Dispatcher([*apis, operations_api("ingest", dict)], limit_concurrency=1000)
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://ingest", headers=authorization(keys.editor)
        ) as client:
            yield Api(client, kafka, keys, app)
        await service.rehearsals.stop()
    finally:
        store.close()


@contextlib.contextmanager
def api_process(settings: Settings) -> Iterator[str]:
    """Runs the whole of an ingest process in a thread; yields its URL. Stops it as SIGTERM does."""
    made: list[IngestApi] = []
    loops: list[asyncio.AbstractEventLoop] = []
    tasks: list[asyncio.Task[int]] = []
    codes: list[int] = []

    async def run() -> int:
        loops.append(asyncio.get_running_loop())
        made.append(IngestApi(settings))
        tasks.append(asyncio.ensure_future(made[0].run()))
        await asyncio.wait(tasks)
        return 0 if tasks[0].cancelled() else tasks[0].result()

    def main() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            codes.append(runner.run(run()))

    thread = threading.Thread(target=main, name="ingest process")
    thread.start()
    try:
        wait_until(lambda: bool(made) and made[0].server.port != 0)
        yield made[0].server.url
    finally:
        loops[0].call_soon_threadsafe(tasks[0].cancel)
        thread.join(STOP_SECONDS)
    assert codes == [0]


def settings_of(data: Path, bootstrap: str, workspace: str, **changes: Any) -> Settings:
    return replace(Settings(data=data, bootstrap=bootstrap, workspace=workspace, ingest_port=0), **changes)
