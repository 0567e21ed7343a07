"""Waiting for a condition, with a deadline: what tests do instead of sleeping."""

import threading
import time
from collections.abc import Callable

POLL_SECONDS = 0.01


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Returns as soon as the condition holds.

    Raises:
        TimeoutError: it did not hold within ``seconds``.
    """
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            message = f"the condition did not hold within {seconds} s"
            raise TimeoutError(message)
        pause.wait(POLL_SECONDS)
