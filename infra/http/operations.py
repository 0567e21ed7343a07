"""The routes that operators' tools call on every role: alive, ready, metrics.

Invariant: none of them waits for anything outside the process, so they answer while everything else is down.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

OPERATIONS_PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})

RETRY_AFTER_SECONDS: Final = 1


def operations_routes(
    readiness: Callable[[], Mapping[str, str]], notes: Callable[[], Mapping[str, Any]] = dict
) -> list[Route]:
    """Returns the routes ``/healthz``, ``/readyz`` and ``/metrics``; none of them needs a key.

    Args:
        readiness: returns what keeps the process from being ready, as a text by name; empty means ready. It must
            answer at once, from what the process already knows.
        notes: returns what is wrong but does not keep it from being ready, in the answer of ``/readyz``; empty
            values are left out. It must answer at once too.
    """

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        reasons = readiness()
        told = {name: note for name, note in notes().items() if note}
        if not reasons:
            return JSONResponse({"status": "ready", **told})
        return JSONResponse(
            {"status": "not ready", "reasons": dict(reasons), **told},
            status_code=503,
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
