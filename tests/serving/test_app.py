import asyncio

import httpx
from starlette.applications import Starlette

from infra.http.server import RequestLimit
from serving.app import no_room
from serving.tecton.get_features import PATH


def test_what_the_server_has_no_room_for_is_refused_as_the_dialect_does() -> None:
    async def scenario() -> httpx.Response:
        transport = httpx.ASGITransport(RequestLimit(Starlette(), 0, no_room))
        async with httpx.AsyncClient(transport=transport, base_url="http://serving") as client:
            return await client.post(PATH, json={})

    answer = asyncio.run(scenario())
    message = "0 requests are in work, which is the limit; try again"
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert answer.json() == {"error": message, "message": message, "code": 8}
