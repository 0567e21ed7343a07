"""Each request and response that the documents of the dialect show, whole (rules SI-1 to SI-16)."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.messages.updates import Ack, ReplyAddress, Transformed, Written
from tests.ingest_api.harness import Loopback, api_without_kafka, documented_plan

GOLDEN = sorted((Path(__file__).parent.parent / "golden").glob("*.json"))


def behaviour_of(case: dict[str, Any], kafka: Loopback) -> None:
    assert kafka.newest is not None
    plan = kafka.newest

    def answer(topic: str, reply: ReplyAddress) -> list[Ack]:
        acks: list[Ack] = []
        sent = []
        for view in plan.views_of(topic.rpartition(".")[2]):
            sent.append((view.id, 0, 1))
            failing = case.get("failing", {}).get(view.name, {})
            acks.append(Written(reply.request, reply.index, view.id, 0, 1, **failing))
        return [Transformed(reply.request, reply.index, sent, []), *acks]

    kafka.behaviour = answer


@pytest.mark.parametrize("path", GOLDEN, ids=[path.stem for path in GOLDEN])
def test_documented_request_gets_the_documented_response(path: Path, tmp_path: Path) -> None:
    case = json.loads(path.read_text())
    kafka = Loopback(documented_plan(case["views"]), lambda _topic, _reply: [])
    behaviour_of(case, kafka)

    async def run() -> None:
        async with api_without_kafka(tmp_path, kafka) as api:
            response = await api.ingest(case["request"], **{"X-Request-ID": "req_abc123"})
            assert response.status_code == case["status"]
            assert response.content == msgspec.json.encode(case["response"])
            assert response.headers["X-Request-ID"] == "req_abc123"
            assert response.headers["Content-Type"] == "application/json"

    asyncio.run(run())
    assert bool(kafka.published) is not case["request"].get("dry_run", False)
