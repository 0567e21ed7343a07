"""Whether anything listens where Kafka is said to be: for commands, before they wait for Kafka's answers.

Invariant: it is said that nothing listens only if none of the addresses took a connection for seconds. A connection is
taken by the host's system, so that a Kafka that is slow, or still loading, is one that listens.
"""

import queue
import socket
import threading
import time
from typing import Final

from schemas.errors import UnavailableError

PATIENCE_SECONDS: Final = 3.0
"""How long a Kafka that is being started again, or is far away, may take to listen."""

PAUSE_SECONDS: Final = 0.1


def require_listener(bootstrap: str, patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Returns as soon as something listens at one of the brokers' addresses.

    Args:
        bootstrap: ``HOST:PORT``, several joined by commas.
        patience_seconds: how long to wait for that.

    Raises:
        UnavailableError: nothing does, with why at each address and what to do.
    """
    deadline = time.monotonic() + patience_seconds
    addresses = bootstrap.split(",")
    problems = dict.fromkeys(addresses, "no answer")
    listening: queue.Queue[str] = queue.Queue()

    def watch(address: str) -> None:
        host, _, port = address.rpartition(":")
        while (left := deadline - time.monotonic()) > 0:
            try:
                socket.create_connection((host.strip("[]"), int(port)), left).close()
            except OSError as error:
                problems[address] = error.strerror or str(error)
                time.sleep(PAUSE_SECONDS)
            else:
                listening.put(address)
                return

    for address in addresses:  # side by side, and left to themselves: names may take long to be found
        threading.Thread(target=watch, args=(address,), daemon=True).start()
    try:
        listening.get(timeout=patience_seconds)
    except queue.Empty:
        told = ", ".join(f"{address} ({problem})" for address, problem in problems.items())
        raise UnavailableError(
            f"no Kafka listens at {told}; start it (`headrace up` starts a local one), or correct bootstrap or "
            "kafka_port"
        ) from None
