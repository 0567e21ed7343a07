import asyncio
import contextlib
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from access.admin_key import ensure_admin_key
from access.store.accounts import AccessStore
from infra.kafka.clients import ensure_topics, producer
from infra.kafka.definitions import publish_plan
from infra.kafka.topics import control_topics
from infra.paths import ADMIN_KEY
from infra.process.exit_codes import ExitCode
from infra.process.ports import free_port
from infra.settings import Settings
from schemas.definitions.plan import Plan
from schemas.errors import SettingsError
from serving.server import Serving
from tests.serving.world import Writer, get_features, plan_of, service_text, view_text

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 30.0
POLL_SECONDS = 0.02


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Waits until a condition holds.

    Raises:
        TimeoutError: it did not hold in time.
    """
    pause = asyncio.Event()
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await condition():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(pause.wait(), POLL_SECONDS)


async def stopped(running: asyncio.Task[None]) -> None:
    """Stops a process as SIGTERM does."""
    running.cancel()
    async with asyncio.timeout(DEADLINE_SECONDS):
        await asyncio.wait({running})
    assert running.cancelled()


def settings_of(data: Path, bootstrap: str, workspace: str = "prod", port: int = 0) -> Settings:
    return Settings(data=data, bootstrap=bootstrap, serving_port=port, workspace=workspace)


def admin_key(data: Path) -> str:
    store = AccessStore.open(data)
    ensure_admin_key(store, data)
    store.close()
    return (data / ADMIN_KEY).read_text().strip()


def plan_with(workspace: str, *services: str) -> Plan:
    return plan_of(
        view_text("a", "") + "".join(service_text(name, "a_V1") for name in services), workspace=workspace, number=-1
    )


def test_a_plan_that_is_published_is_served_within_the_running_process(
    tmp_path: Path, bootstrap: str, unique: str
) -> None:
    key = admin_key(tmp_path)
    ensure_topics(bootstrap, control_topics(1))
    publisher = producer(bootstrap)
    publish_plan(publisher, plan_with(unique, "first"))

    async def scenario() -> None:
        serving = Serving(settings_of(tmp_path, bootstrap, unique))
        running = asyncio.create_task(serving.run())

        async def listening() -> bool:
            return serving.server.port != 0

        await until(listening)
        async with httpx.AsyncClient(base_url=serving.server.url, trust_env=False) as client:

            async def ready() -> bool:
                return (await client.get("/readyz")).status_code == 200

            async def waits_for_state() -> bool:
                return f"state/{unique}/0" in (await client.get("/readyz")).json().get("reasons", {})

            async def served() -> bool:
                answer = await get_features(client, key, "second", {"user_id": "a"}, workspaceName=unique)
                return answer.status_code == 200

            await until(waits_for_state)
            with Writer(tmp_path, plan_with(unique, "first")):
                await until(ready)
                assert not await served()
                await asyncio.to_thread(publish_plan, publisher, plan_with(unique, "first", "second"))
                await until(served)
        await stopped(running)

    asyncio.run(scenario())


def test_without_kafka_the_process_is_alive_not_ready_and_stops_when_asked(tmp_path: Path) -> None:
    key = admin_key(tmp_path)

    async def scenario() -> None:
        serving = Serving(settings_of(tmp_path, f"127.0.0.1:{free_port()}"))
        running = asyncio.create_task(serving.run())

        async def listening() -> bool:
            return serving.server.port != 0

        await until(listening)
        async with httpx.AsyncClient(base_url=serving.server.url, trust_env=False) as client:
            assert (await client.get("/healthz")).status_code == 200
            ready = await client.get("/readyz")
            assert (ready.status_code, list(ready.json()["reasons"])) == (503, ["definitions"])
            answer = await get_features(client, key, "s", {"user_id": "a"})
            assert (answer.status_code, answer.json()["code"]) == (503, 14)
        await stopped(running)

    asyncio.run(scenario())


def test_an_address_that_is_taken_ends_the_process_with_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = settings_of(tmp_path, f"127.0.0.1:{free_port()}", port=taken.getsockname()[1])

        async def scenario() -> None:
            await Serving(settings).run()

        with pytest.raises(SettingsError, match="cannot listen"):
            asyncio.run(scenario())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_process_with_exit_code_zero(tmp_path: Path, number: signal.Signals) -> None:
    async def scenario() -> None:
        environ = os.environ | {
            "HEADRACE_DATA": str(tmp_path),
            "HEADRACE_SERVING_PORT": "0",
            "HEADRACE_BOOTSTRAP": f"127.0.0.1:{free_port()}",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "headrace", "serving", cwd=ROOT, env=environ, stderr=PIPE
        )
        assert process.stderr is not None
        async with asyncio.timeout(DEADLINE_SECONDS):
            while b"serving listens" not in await process.stderr.readline():
                pass
            process.send_signal(number)
            await process.communicate()
        assert process.returncode == ExitCode.OK

    asyncio.run(scenario())
