"""Free TCP ports on the loopback address, for servers that are told their port before they start.

Invariant: a port is never taken from the range the system gives to outgoing connections. There, a client that keeps
reconnecting to a server that is down can be given the server's own port, connects to itself, and keeps it.
"""

import random
import socket
from typing import Final

LOOPBACK: Final = "127.0.0.1"
PORTS: Final = range(15_000, 30_000)
"""Above the well-known services, below the outgoing range of Linux (32768) and the others (49152)."""

ATTEMPTS: Final = 200


def is_free(port: int) -> bool:
    """Tells whether a server could listen on the loopback port now."""
    with socket.socket() as probe:
        # As servers do: a connection that is only lingering (TIME_WAIT) does not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """Returns a loopback port that was free a moment ago; another process may still be quicker.

    Raises:
        OSError: not one of many is free.
    """
    for port in random.SystemRandom().sample(PORTS, ATTEMPTS):
        if is_free(port):
            return port
    raise OSError(f"no free port among {ATTEMPTS} tried from {PORTS.start} to {PORTS.stop - 1}")
