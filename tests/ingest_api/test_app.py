import asyncio

import httpx
import pytest
from starlette.applications import Starlette

from infra.http.server import RequestLimit
from ingest_api.app import no_room
from ingest_api.registry.routes import CONTENT_TYPE

MESSAGE = "0 requests are in work, which is the limit; try again"


def refused(path: str) -> httpx.Response:
    async def scenario() -> httpx.Response:
        transport = httpx.ASGITransport(RequestLimit(Starlette(), 0, no_room))
        async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as client:
            return await client.post(path, headers={"X-Request-ID": "mine"})

    return asyncio.run(scenario())


@pytest.mark.parametrize("path", ["/api/v1/ingest", "/elsewhere"])
def test_what_the_server_has_no_room_for_is_refused_as_the_dialect_does(path: str) -> None:
    answer = refused(path)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert answer.headers["x-request-id"] == "mine"
    assert answer.json() == {"error": {"code": "RESOURCE_EXHAUSTED", "message": MESSAGE}, "request_id": "mine"}


@pytest.mark.parametrize("path", ["/subjects", "/subjects/a-value/versions", "/schemas/ids/1", "/associations/x"])
def test_what_the_server_has_no_room_for_is_refused_as_the_registry_does(path: str) -> None:
    answer = refused(path)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert answer.headers["content-type"] == CONTENT_TYPE
    assert answer.json() == {"error_code": 429, "message": MESSAGE}
