"""Tecton's stream ingest over the pipeline, with processors that a test plays (rules TI-1 to TI-15)."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from ingest_api.tecton.api import tecton_api
from schemas.definitions.ids import defined_id
from schemas.definitions.plan import Plan
from schemas.messages.updates import Ack, ReplyAddress, Transformed, Written
from tests.ingest_api.harness import INSTALLATION, Api, Loopback, api_without_kafka
from tests.support.plans import plan_of

WORKSPACE = "my_workspace"
SOURCE = "stream_source_1"
RECORD = {"timestamp": "2024-01-01T00:00:01Z", "user_id": "123", "value": 1}
GOLDEN = json.loads((Path(__file__).parent / "golden" / "ingest.json").read_text())

DEFINITIONS = """
from headrace import *

user = Entity(name="user", join_keys=[Field("user_id", String)])
"""


def source_text(name: str, *, logged: bool = False) -> str:
    return (
        f'{name} = StreamSource(name="{name}", timestamp_field="timestamp", log_offline={logged}, schema=['
        'Field("timestamp", Timestamp), Field("user_id", String), Field("value", Int64)])\n'
    )


def view_text(name: str, source: str = SOURCE, *, online: bool = True, offline: bool = False) -> str:
    return f"""
@stream_feature_view(source={source}, entities=[user], version="V1", timestamp_field="timestamp", online={online},
    offline={offline})
def {name}(record):
    return record
"""


def plan(*texts: str) -> Plan:
    return plan_of(DEFINITIONS + "".join(texts), workspace=WORKSPACE, schema_id=7, first_view=0, number=3)


DOCUMENTED = (
    source_text(SOURCE),
    source_text("stream_source_2"),
    view_text("my_feature_view"),
    view_text("my_other_view", "stream_source_2"),
)


def view_id(name: str) -> str:
    return defined_id(INSTALLATION, WORKSPACE, "feature_view", name, "V1")


def loopback(of: Plan, answers: Mapping[str, Mapping[str, Any] | None] | None = None) -> Loopback:
    """Kafka and processors; by view, what it answers to each record, None if it drops it. Others store a new row."""

    def behaviour(topic: str, reply: ReplyAddress) -> list[Ack]:
        views = {view.name: view.id for view in of.views_of(topic.rpartition(".")[2])}
        told = {name: (answers or {}).get(name, {"became": {"new": 1}}) for name in views}
        failures = [
            (views[name], *answer["failure"]) for name, answer in told.items() if answer and "failure" in answer
        ]
        written = {views[name]: answer for name, answer in told.items() if answer and "failure" not in answer}
        return [
            Transformed(reply.request, reply.index, [(view, 0, 1) for view in written], failures),
            *(Written(reply.request, reply.index, view, 0, 1, **answer) for view, answer in written.items()),
        ]

    return Loopback(of, behaviour)


def body_of(
    *records: object, source: str = SOURCE, dry_run: bool = False, workspace: str = WORKSPACE
) -> dict[str, Any]:
    items = [{"record": record} for record in records or (RECORD,)]
    return {"workspaceName": workspace, "dryRun": dry_run, "records": {source: items}}


def with_api(
    data: Path, kafka: Loopback, test: Callable[[Api, Mapping[str, str]], Awaitable[None]], **options: Any
) -> None:
    async def run() -> None:
        async with api_without_kafka(data, kafka, mounts=(tecton_api,), workspace=WORKSPACE, **options) as api:
            await test(api, {"Authorization": f"Tecton-key {api.keys.editor}"})

    asyncio.run(run())


def answer_to(
    data: Path, kafka: Loopback, body: object, path: str = "/ingest", key: str = "editor", **options: Any
) -> httpx.Response:
    answers: list[httpx.Response] = []

    async def test(api: Api, _editor: Mapping[str, str]) -> None:
        headers = {"Authorization": f"Tecton-key {getattr(api.keys, key)}"}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answers.append(await api.client.post(path, content=content, headers=headers))

    with_api(data, kafka, test, **options)
    return answers[0]


def refusal(response: httpx.Response) -> tuple[int, str, str]:
    error = response.json()["requestError"]
    assert list(response.json()) == ["requestError"]
    assert list(error) == ["errorMessage", "errorType"]
    return response.status_code, error["errorType"], error["errorMessage"]


@pytest.mark.parametrize("path", ["/ingest", "/v2/ingest"])
def test_the_documented_request_gets_the_documented_response(path: str, tmp_path: Path) -> None:
    response = answer_to(tmp_path, loopback(plan(*DOCUMENTED)), GOLDEN["request"], path)
    expected = GOLDEN["response"]
    for view in expected["ingestMetrics"]["featureViewIngestMetrics"]:
        assert len(view["featureViewId"]) == len(view_id(view["featureViewName"]))
        view["featureViewId"] = view_id(view["featureViewName"])
    assert response.status_code == 200
    assert response.content == json.dumps(expected, separators=(",", ":")).encode()
    assert response.headers["Content-Type"] == "application/json"


def test_rows_are_counted_by_store_and_sources_that_are_logged(tmp_path: Path) -> None:
    texts = (
        source_text(SOURCE, logged=True),
        view_text("dropping"),
        view_text("late", offline=True),
        view_text("several", offline=True),
        view_text("logged", online=False, offline=True),
    )
    stores = {
        "dropping": None,
        "late": {"became": {"late": 1}},
        "several": {"became": {"new": 2, "equal": 1, "superseded": 1, "replaced": 1, "late": 1, "future": 2}},
        "logged": {"became": {"offline": 1}},
    }
    response = answer_to(tmp_path, loopback(plan(*texts), stores), body_of(RECORD, RECORD | {"value": "2"}))
    assert response.json()["ingestMetrics"] == {
        "featureViewIngestMetrics": [
            {"featureViewName": name, **counts, "featureViewId": view_id(name)}
            for name, counts in {
                "dropping": {"onlineRecordIngestCount": "0"},
                "late": {"onlineRecordIngestCount": "0", "offlineRecordIngestCount": "2"},
                "logged": {"onlineRecordIngestCount": "0", "offlineRecordIngestCount": "2"},
                "several": {"onlineRecordIngestCount": "10", "offlineRecordIngestCount": "12"},
            }.items()
        ],
        "dataSourceIngestMetrics": [
            {
                "dataSourceName": SOURCE,
                "offlineRecordIngestCount": "2",
                "dataSourceId": defined_id(INSTALLATION, WORKSPACE, "stream_source", SOURCE),
            }
        ],
    }


def test_a_dry_run_stores_nothing_needs_no_online_view_and_a_viewer_may(tmp_path: Path) -> None:
    kafka = loopback(plan(source_text(SOURCE, logged=True), view_text("v", online=False, offline=True)))
    response = answer_to(tmp_path, kafka, body_of(RECORD, RECORD, dry_run=True), key="viewer")
    assert response.status_code == 200
    assert [
        view["offlineRecordIngestCount"] for view in response.json()["ingestMetrics"]["featureViewIngestMetrics"]
    ] == ["2"]
    assert not kafka.published


@pytest.mark.parametrize("dry_run", [True, False])
def test_one_bad_record_refuses_the_call_and_nothing_is_stored(dry_run: bool, tmp_path: Path) -> None:
    kafka = loopback(plan(*DOCUMENTED))
    bad = [RECORD, RECORD | {"value": "1.5"}, {"user_id": "1", "value": 1}]
    response = answer_to(tmp_path, kafka, body_of(*bad, dry_run=dry_run))
    assert response.status_code == 400
    assert response.json() == {
        "workspaceName": WORKSPACE,
        "recordErrors": [
            {
                "pushSourceName": SOURCE,
                "errorType": "RequestValidationError",
                "errorMessage": f"record {index}: {message}",
            }
            for index, message in (
                (1, "INVALID_FIELD_TYPE: Field 'value': expected integer, got string"),
                (2, "MISSING_REQUIRED_FIELD: Record is missing required field: timestamp"),
            )
        ],
    }
    assert not kafka.published


@pytest.mark.parametrize(
    ("key", "body", "message"),
    [
        ("elsewhere", body_of(workspace="dev"), "There is no workspace 'dev', or nothing was applied to it yet"),
        (
            "editor",
            body_of(source="nope"),
            f"Workspace '{WORKSPACE}' has no stream source 'nope'; known are: {SOURCE}, unread",
        ),
        (
            "editor",
            body_of(source="unread"),
            "No feature view of stream source 'unread' is served online; apply one, or send a dry run",
        ),
    ],
)
def test_what_cannot_take_records_is_not_found(key: str, body: object, message: str, tmp_path: Path) -> None:
    kafka = loopback(plan(source_text(SOURCE), source_text("unread"), view_text("v")))
    response = answer_to(tmp_path, kafka, body, key=key)
    assert refusal(response) == (404, "TectonObjectValidationError", message)
    assert not kafka.published


@pytest.mark.parametrize(("key", "status"), [("viewer", 403), ("nobody", 403), ("editor", 200)])
def test_writing_needs_an_editor(key: str, status: int, tmp_path: Path) -> None:
    assert answer_to(tmp_path, loopback(plan(*DOCUMENTED)), body_of(), key=key).status_code == status


def test_oauth_tokens_are_not_accepted(tmp_path: Path) -> None:
    async def test(api: Api, _editor: Mapping[str, str]) -> None:
        response = await api.client.post("/ingest", json=body_of(), headers={"Authorization": "Bearer x.y.z"})
        assert refusal(response)[:2] == (401, "AuthenticationError")
        assert response.headers["WWW-Authenticate"] == "Tecton-key"

    with_api(tmp_path, loopback(plan(*DOCUMENTED)), test)


def test_a_body_is_json_whatever_the_content_type_says(tmp_path: Path) -> None:
    async def test(api: Api, editor: Mapping[str, str]) -> None:
        for kind in ("application/x-www-form-urlencoded", "text/plain", "application/json"):
            headers = {**editor, "Content-Type": kind}
            response = await api.client.post("/ingest", content=json.dumps(body_of()), headers=headers)
            assert response.status_code == 200

    with_api(tmp_path, loopback(plan(*DOCUMENTED)), test)


def test_a_failing_function_is_an_error_of_its_record_and_view(tmp_path: Path) -> None:
    texts = (source_text(SOURCE), view_text("fails"), view_text("works"))
    stores = {"fails": {"failure": ("FUNCTION_FAILED", "f.py:3, in fails: ValueError: no")}}
    response = answer_to(tmp_path, loopback(plan(*texts), stores), body_of())
    assert response.status_code == 400
    assert response.json()["recordErrors"] == [
        {
            "featureViewName": "fails",
            "pushSourceName": SOURCE,
            "errorType": "TransformationError",
            "errorMessage": "record 0: f.py:3, in fails: ValueError: no",
        }
    ]


def test_a_store_that_fails_is_500_and_no_answer_in_time_504(tmp_path: Path) -> None:
    texts = (source_text(SOURCE), view_text("v"))
    full = loopback(plan(*texts), {"v": {"store": "online", "message": "disk full"}})
    message = f"{SOURCE}, record 0, feature view v: disk full"
    assert refusal(answer_to(tmp_path / "full", full, body_of())) == (500, "InternalError", message)
    silent = Loopback(plan(*texts), lambda _topic, _reply: [])
    response = answer_to(tmp_path / "silent", silent, body_of(), deadline_seconds=0.05)
    assert refusal(response)[:2] == (504, "DeadlineExceededError")
    assert "Send it again" in refusal(response)[2]
    assert response.headers["Retry-After"] == "1"


def test_an_answer_that_is_lost_in_part_is_504(tmp_path: Path) -> None:
    kafka = loopback(plan(*DOCUMENTED))
    behaviour = kafka.behaviour

    def lose_one(topic: str, reply: ReplyAddress) -> list[Ack]:
        if reply.index == 1:
            kafka.deliver(reply, "Kafka did not take it")
            return []
        return behaviour(topic, reply)

    kafka.behaviour = lose_one
    response = answer_to(tmp_path, kafka, body_of(RECORD, RECORD))
    assert refusal(response) == (504, "DeadlineExceededError", f"{SOURCE}, record 1: Kafka did not take it")
