"""Asking a process whether it is ready, and whether it lives.

Invariant: only the process itself can answer. A connection is no answer: the kernel accepts it for a process that is
frozen. Kafka's protocol has a question that is asked before anything else (ApiVersions) and needs no rights.
"""

import asyncio
import struct
from typing import Final
from urllib.parse import urlsplit

import httpx

_API_VERSIONS: Final = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""Kafka's request: bytes that follow, key, version, correlation id, no client id."""

_ANSWER_BYTES: Final = 8
"""The beginning of Kafka's answer: bytes that follow, correlation id."""


async def is_ready(client: httpx.AsyncClient, url: str) -> bool:
    """Returns whether ``http://…`` answers 200, or the broker at ``kafka://HOST:PORT`` answers."""
    return await _status(client, url) == httpx.codes.OK


async def answers(client: httpx.AsyncClient, url: str) -> bool:
    """Returns whether ``http://…`` answers anything, or the broker at ``kafka://HOST:PORT`` does; may wait for ever."""
    return await _status(client, url) is not None


async def _status(client: httpx.AsyncClient, url: str) -> int | None:
    try:
        if url.startswith("kafka:"):
            await _ask_broker(url)
            return httpx.codes.OK
        return (await client.get(url)).status_code
    except (OSError, TimeoutError, EOFError, httpx.HTTPError):
        return None


async def _ask_broker(url: str) -> None:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(_API_VERSIONS)
        await reader.readexactly(_ANSWER_BYTES)
    finally:
        writer.close()
