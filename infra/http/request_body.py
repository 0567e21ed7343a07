"""The body of an HTTP request, within a size and a time: how every server reads what strangers send.

Invariant: no caller holds more memory than the limit, nor for longer than the deadline, however slowly it sends; and
of one caller a bounded number may take their time, so that slow ones leave room for everybody else's.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import Receive

from schemas.errors import OverloadedError, SlowBodyError, TooLargeError
from schemas.limits import BODY_SECONDS, HURRIED_BODY_SECONDS


class Arrivals:
    """Bodies on their way, counted by caller; for use by one event loop.

    One that is there already is never refused; of a caller who has many on their way, further ones may only take
    `HURRIED_BODY_SECONDS`.

    Args:
        limit_each: of one caller that may take their time; a fraction of the requests that the server takes.
    """

    def __init__(self, limit_each: int) -> None:
        self._limit_each = limit_each
        self._on_their_way: Counter[str] = Counter()

    @contextmanager
    def of(self, caller: str) -> Iterator[float]:
        """Counts a body as on its way while the block runs; gives the block how many seconds it may take.

        Raises:
            OverloadedError: it took longer, and too many of this caller's are on their way.
        """
        is_hurried = self._on_their_way[caller] >= self._limit_each
        self._on_their_way[caller] += 1
        try:
            yield HURRIED_BODY_SECONDS if is_hurried else BODY_SECONDS
        except SlowBodyError as error:
            if not is_hurried:
                raise
            raise OverloadedError(
                f"{self._limit_each} request bodies of this account are on their way, which is the limit of one "
                "account; send each at once"
            ) from error
        finally:
            self._on_their_way[caller] -= 1
            if not self._on_their_way[caller]:
                del self._on_their_way[caller]


async def read_body(receive: Receive, limit_bytes: int, advice: str, deadline_seconds: float) -> bytes | None:
    """Returns a request's body; None if its caller went away.

    Args:
        receive: of the request, as ASGI gives it; nothing was received yet.
        limit_bytes: longest body that is accepted.
        advice: what a caller can do whose body is longer.
        deadline_seconds: from this call to the body's last byte.

    Raises:
        TooLargeError: it is longer.
        SlowBodyError: it did not arrive in time.
    """
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(deadline_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                part: bytes = message.get("body", b"")
                size += len(part)
                if size > limit_bytes:
                    raise TooLargeError(f"Request body is larger than {limit_bytes} bytes; {advice}")
                if not message.get("more_body", False):
                    return b"".join((*parts, part)) if parts else part
                parts.append(part)
    except TimeoutError:
        raise SlowBodyError(
            f"Request body did not arrive within {deadline_seconds:g} s ({size} bytes came); send it at once"
        ) from None
