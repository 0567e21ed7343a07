"""A small world to serve from: plans from texts, databases written as processors write them, a server on a socket."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from access.authentication import Authenticator
from access.roles import Role
from access.store.accounts import AccessStore
from infra.database.layout import DatabaseResources
from infra.database.primary import PrimaryDatabase
from infra.http.operations import operations_api
from infra.http.paths import GET_FEATURES
from infra.http.server import HttpServer
from infra.paths import state_path, version_path
from processors.materialize.fold import ViewState, materialize
from processors.materialize.view_digests import take_up
from schemas.definitions.plan import Plan, ViewPlan
from schemas.messages.updates import MESSAGE_FORMAT, Row, Update, UpdateMessage, decode_update, encode_update
from schemas.state.keys import encode_join_keys, partition_of
from serving.reads.pipeline import ReadPipeline
from serving.reads.read_plan import ReadPlan, compile_read_plan
from serving.reads.service import Services
from serving.reads.state import OnlineState
from serving.tecton.api import TECTON
from tests.support import plans
from tests.support.plans import HeldPlans

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NOON = 1_683_216_000 * SECOND
"""2023-05-04T16:00:00Z, in µs."""

PARTITIONS = 2

HEADER = """
from datetime import timedelta
from headrace import *

user = Entity(name="user", join_keys=[Field("user_id", String)])
ad = Entity(name="ad", join_keys=[Field("ad_id", Int64)])
events = StreamSource(name="events", timestamp_field="at", schema=[
    Field("user_id", String, required=False), Field("ad_id", Int64, required=False), Field("at", Timestamp),
    Field("amount", Float64, required=False), Field("clicks", Int64, required=False),
    Field("site", String, required=False), Field("seen", Timestamp, required=False)])
"""

TEN_MINUTES = "aggregation_interval=timedelta(minutes=10), "


def view_text(name: str, options: str, entities: str = "user", version: str = "V1") -> str:
    """Returns the text of a view of the one source; Python names carry the version."""
    return f"""
@stream_feature_view(name="{name}", source=events, entities=[{entities}], version="{version}", timestamp_field="at",
                     {options})
def {name}_{version}(record):
    return record
"""


def service_text(name: str, *views: str, options: str = "") -> str:
    """Returns the text of a service; views by Python name."""
    return f'{name} = FeatureService(name="{name}", features=[{", ".join(views)}]{options})\n'


def plan_of(text: str, *, workspace: str = "prod", number: int = 10) -> Plan:
    """Returns the plan of a repository's text below ``HEADER``; view ids count from 1."""
    return plans.plan_of(
        HEADER + text, workspace=workspace, partitions=PARTITIONS, source_partitions=1, first_view=1, number=number
    )


def read_plan_of(text: str, service: str) -> ReadPlan:
    """Returns how a service of a repository's text is read."""
    plan = plan_of(text)
    return compile_read_plan(plan, plan.services[service])


def update_of(view: ViewPlan, key: bytes, row: Mapping[str, Any], offset: int) -> Update:
    """Returns the message of one row; Kafka took its record at ``logged`` (µs), or else just after its event time."""
    logged = row.get("logged", row["at"] + 1_000) // 1_000
    values = [row.get(column.name) for column in view.columns]
    return Update(MESSAGE_FORMAT, 10, view.id, 0, [Row(key, row["at"], logged, offset, 0, values)], [])


class Writer:
    """Writes rows as a processor does: materialized, in the database of their partition, published.

    Args:
        data: the data folder.
        plan: the definitions.
    """

    def __init__(self, data: Path, plan: Plan) -> None:
        self._plan = plan
        self._offset = 0
        resources = DatabaseResources.of_sizes()
        self._databases = [_open(data, plan.workspace, partition, resources) for partition in range(plan.partitions)]
        for database in self._databases:
            take_up(plan.views.values(), database)

    def write(self, view_key: str, *rows: Mapping[str, Any]) -> None:
        """Writes rows of one view, one batch each."""
        view = self._plan.views[view_key]
        states = {view.id: ViewState(view)}
        for row in rows:
            key = encode_join_keys([row.get(name) for name in view.join_keys])
            update = decode_update(encode_update(update_of(view, key, row, self._offset)))
            self._offset += 1
            database = self._databases[partition_of(key, self._plan.partitions)]
            out = materialize(states, database, [UpdateMessage(self._offset, update)], self._offset + 1)
            database.write(list(out.writes.items()))

    def close(self) -> None:
        for database in self._databases:
            database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _open(data: Path, workspace: str, partition: int, resources: DatabaseResources) -> PrimaryDatabase:
    database = PrimaryDatabase.open(
        state_path(data, workspace, partition),
        version_file=version_path(data, workspace, partition),
        resources=resources,
        lock_seconds=5,
    )
    if database.rebuilding:
        database.promote()
    return database


INSTALLATION = "i1"


class World:
    """A server on a socket.

    Attributes:
        definitions: what is applied.
        services: compiled; call ``refresh`` after changing definitions.
        clock: the server's wall clock, µs since the epoch; set it.
    """

    def __init__(self, data: Path, *plans: Plan) -> None:
        self.clock = NOON
        self.definitions = HeldPlans(*plans)
        self.services = Services(self.definitions, TECTON.dialects, INSTALLATION)
        self.services.refresh()
        self.services.complete = True
        self.state = OnlineState(data, DatabaseResources.of_sizes())
        self.access = AccessStore.open(data)
        pipeline = ReadPipeline(self.services, self.state, Authenticator(self.access), "prod", clock=lambda: self.clock)
        self.api = TECTON.mount(pipeline)
        self._server = HttpServer(
            [self.api, operations_api("serving", dict, described=[self.api])],
            "127.0.0.1",
            0,
            limit_concurrency=1000,
        )
        self._keys: dict[str, str] = {}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[httpx.AsyncClient]:
        """Serves; yields a client without credentials."""
        await self._server.start()
        try:
            async with httpx.AsyncClient(base_url=self._server.url, trust_env=False) as client:
                yield client
        finally:
            await self._server.stop()
            self.state.close()
            self.access.close()

    @property
    def port(self) -> int:
        """The server's port."""
        return self._server.port

    def key(self, role: Role = Role.CONSUMER, workspace: str = "prod", default_workspace: str | None = None) -> str:
        """Returns the key of an account with one role; the same for the same arguments."""
        name = f"{role}-{workspace}-{default_workspace}"
        if name not in self._keys:
            roles = {workspace: frozenset({role})}
            self._keys[name] = self.access.create_account(name, roles, default_workspace=default_workspace).key
        return self._keys[name]


async def get_features(
    client: httpx.AsyncClient, key: str, service: str, join_keys: Mapping[str, Any], **params: Any
) -> httpx.Response:
    """Calls get-features as stock clients do."""
    body = {"params": {"featureServiceName": service, "workspaceName": "prod", "joinKeyMap": join_keys, **params}}
    return await client.post(GET_FEATURES, json=body, headers={"Authorization": f"Tecton-key {key}"})
