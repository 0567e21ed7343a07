"""An HTTP server inside the running event loop.

Invariant: the requests in work are bounded; one too many is refused at once, in the shape of its path's API. The
operators' paths (`infra.http.operations`) are always let through, so that an overloaded process still counts as alive.
Connections are bounded too: for one too many an idle one is closed, so that nobody is kept out by who only holds them.

What the application needs is opened and closed by whoever starts the server: ASGI lifespan events are not sent.
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from infra.http.api import Api
from infra.http.dispatch import Dispatcher
from schemas.errors import SettingsError
from schemas.limits import CONNECTIONS_PER_REQUEST, KEEP_ALIVE_SECONDS

BACKLOG: Final = 1024
"""Connections that the kernel keeps waiting."""

DRAIN_SECONDS: Final = 3.0
"""How long a stop waits for requests in work before it cancels them."""

LOOPBACK_OF: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, never listened on by itself
"""Addresses that mean every interface, and one of those interfaces."""


class HttpServer:
    """Serves some APIs on one address.

    Args:
        apis: what it answers; the first answers for paths that are nobody's.
        host: address to listen on.
        port: port to listen on; 0 picks a free one.
        limit_concurrency: most requests in work at a time.
    """

    def __init__(self, apis: Sequence[Api], host: str, port: int, *, limit_concurrency: int) -> None:
        self.host = host
        self.port = port
        config = uvicorn.Config(
            Dispatcher(apis, limit_concurrency),
            http=_bounded_connections(CONNECTIONS_PER_REQUEST * limit_concurrency),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(DRAIN_SECONDS),
        )
        config.load()
        self._server = uvicorn.Server(config)
        self._server.lifespan = config.lifespan_class(config)
        self._sockets: list[socket.socket] = []
        self._loop: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """The address with the port that was bound, e.g. ``http://127.0.0.1:8181``."""
        return f"http://{reachable_host(self.host)}:{self.port}"

    async def start(self) -> None:
        """Binds the address and begins to serve.

        Raises:
            SettingsError: the address cannot be bound.
        """
        self._sockets = [bind(self.host, self.port)]
        self.port = self._sockets[0].getsockname()[1]
        await self._server.startup(sockets=self._sockets)
        self._loop = asyncio.create_task(self._server.main_loop(), name="http server")

    async def stop(self) -> None:
        """Stops accepting, gives requests in work `DRAIN_SECONDS` to end, close; a second call does nothing."""
        if self._loop is None:
            return
        loop, self._loop = self._loop, None
        self._server.should_exit = True
        await loop
        await self._server.shutdown(sockets=self._sockets)


def reachable_host(host: str) -> str:
    """Returns the host part of the URL at which this machine reaches an address that it listens on."""
    host = LOOPBACK_OF.get(host, host)
    return f"[{host}]" if ":" in host else host


def bind(host: str, port: int) -> socket.socket:
    """Returns a TCP socket bound to an address, with port 0 on any free port.

    Raises:
        SettingsError: the address is taken, not ours, or not resolvable.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host}:{port}: {error.strerror}; stop what uses the port, choose another, or give port 0"
        ) from error
    return bound


def _bounded_connections(limit: int) -> type[HttpToolsProtocol]:
    """Returns uvicorn's protocol with a bound of its own: uvicorn's answers every request in plain text, probes too."""

    class BoundedConnections(HttpToolsProtocol):
        def connection_made(self, transport: Any) -> None:
            is_full = len(self.connections) >= limit
            super().connection_made(transport)
            if is_full:
                idle = (each for each in self.connections if each is not self and _is_idle(each))
                next(idle, self).shutdown()

    return BoundedConnections


def _is_idle(connection: Any) -> bool:
    """Tells whether a connection of uvicorn's is open and has no request in work."""
    return not connection.transport.is_closing() and (connection.cycle is None or connection.cycle.response_complete)
