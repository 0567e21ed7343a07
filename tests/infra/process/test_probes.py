"""Probes of what answers, what refuses, and what only has its connections accepted."""

import asyncio
import socket

import httpx
import pytest

from infra.process.ports import LOOPBACK, free_port
from infra.process.probes import answers, is_ready

SCHEMES = ["kafka://{}", "http://{}/healthz"]


async def asked(url: str) -> tuple[bool, bool]:
    async with httpx.AsyncClient(trust_env=False, timeout=None) as client:  # noqa: S113 - tests set their own
        return await is_ready(client, url), await answers(client, url)


def test_a_broker_answers(bootstrap: str) -> None:
    assert asyncio.run(asked(f"kafka://{bootstrap}")) == (True, True)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_nobody_there_is_no_answer(scheme: str) -> None:
    assert asyncio.run(asked(scheme.format(f"{LOOPBACK}:{free_port()}"))) == (False, False)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_connection_that_the_kernel_accepted_is_no_answer(scheme: str) -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        host, port = server.getsockname()
        asking = asyncio.wait_for(asked(scheme.format(f"{host}:{port}")), 0.5)
        with pytest.raises(TimeoutError):
            asyncio.run(asking)


def test_a_connection_that_is_closed_is_no_answer() -> None:
    async def scenario() -> tuple[bool, bool]:
        server = await asyncio.start_server(lambda _, writer: writer.close(), LOOPBACK, 0)
        async with server:
            host, port = server.sockets[0].getsockname()
            return await asked(f"kafka://{host}:{port}")

    assert asyncio.run(scenario()) == (False, False)
