"""The API that operators' tools call on every role: alive, ready, metrics, and what else the server answers.

Invariant: none of its endpoints waits for anything outside the process, so they answer while everything else is down.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.http.api import Api
from infra.http.openapi import openapi_document
from infra.http.paths import HEALTHZ, METRICS, OPENAPI, READYZ
from schemas.errors import HeadraceError, RequestError, UnknownMethodError, UnknownPathError
from schemas.limits import RETRY_AFTER_SECONDS

_STATUS: Final[tuple[tuple[type[HeadraceError], int], ...]] = (
    (UnknownPathError, 404),
    (UnknownMethodError, 405),
    (RequestError, 400),
    (HeadraceError, 500),
)
"""The first class that fits counts."""


def operations_api(
    title: str,
    readiness: Callable[[], Mapping[str, str]],
    notes: Callable[[], Mapping[str, Any]] = dict,
    described: Sequence[Api] = (),
) -> Api:
    """Returns the API; it needs no key.

    Args:
        title: of the server, in its OpenAPI document.
        readiness: returns what keeps the process from being ready, as a text by name; empty means ready. It must
            answer at once, from what the process already knows.
        notes: returns what is wrong but does not keep it from being ready, in the answer of ``/readyz``; empty
            values are left out. It must answer at once too.
        described: the other APIs of the server.
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

    async def openapi(_request: Request) -> Response:
        return JSONResponse(openapi_document(title, [*described, api]))

    endpoints = {HEALTHZ: healthz, READYZ: readyz, METRICS: metrics, OPENAPI: openapi}
    api = Api(
        name="operations",
        prefixes=tuple(endpoints),
        routes=[Route(path, endpoint) for path, endpoint in endpoints.items()],
        refuse=_refuse,
        openapi={path: _described(summary) for path, summary in _SUMMARIES.items()},
        is_always_answered=True,
    )
    return api


_SUMMARIES: Final = {
    HEALTHZ: "Whether the process lives",
    READYZ: "Whether it can do its work, and what keeps it from it",
    METRICS: "Prometheus metrics",
    OPENAPI: "This document",
}


def _described(summary: str) -> Mapping[str, Any]:
    return {"get": {"summary": summary, "responses": {"200": {"description": "As asked."}}}}


def _refuse(error: HeadraceError, request_id: str) -> Response:
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    return JSONResponse({"code": error.code, "message": error.message, "request_id": request_id}, status)
