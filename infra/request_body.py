"""The body of an HTTP request, within a size and a time: how every server reads what strangers send.

Invariant: no caller holds more memory than the limit, nor for longer than the deadline, however slowly it sends.
"""

import asyncio
from typing import Final

from starlette.types import Receive

from schemas.errors import RequestError, TooLargeError

BODY_SECONDS: Final = 10.0
"""How long a body may take to arrive unless told otherwise; the largest ones need 0.5 MB/s."""


class SlowBodyError(RequestError):
    """The body did not arrive in time; a dialect that has no answer of its own for this refuses the request."""


async def read_body(
    receive: Receive, limit_bytes: int, advice: str, deadline_seconds: float = BODY_SECONDS
) -> bytes | None:
    """Return a request's body; None if its caller went away.

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
