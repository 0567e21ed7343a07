import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.errors import OverloadedError, SlowBodyError
from schemas.limits import MAX_INGEST_BODY_BYTES
from schemas.messages.updates import Ack, ReplyAddress, Transformed, Written
from tests.ingest_api.harness import (
    FRAUD_VIEW,
    USER_VIEW,
    Api,
    Loopback,
    api_without_kafka,
    authorization,
    documented_plan,
    stored,
)

RECORD = {"timestamp": "2024-01-15T10:30:00Z", "user_id": "u", "amount": 1.5}
STREAM = "transactions_stream"


def body_of(*records: object, **more: object) -> dict[str, object]:
    return {"records": {STREAM: list(records or (RECORD,))}, **more}


def with_api(data: Path, kafka: Loopback, test: Callable[[Api], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        async with api_without_kafka(data, kafka, **options) as api:
            await test(api)

    asyncio.run(run())


@pytest.fixture
def kafka() -> Loopback:
    plan = documented_plan()
    return Loopback(plan, stored(plan))


def error_of(response: httpx.Response) -> tuple[int, str, str]:
    content = response.json()
    assert list(content) == ["error", "request_id"]
    assert list(content["error"]) == ["code", "message"]
    assert content["request_id"] == response.headers["X-Request-ID"]
    return response.status_code, content["error"]["code"], content["error"]["message"]


def views_of(response: httpx.Response, source: str = STREAM) -> Any:
    return response.json()["sources"][source]["feature_views"]


def test_caller_without_a_valid_key_gets_401_before_its_body_is_read(tmp_path: Path, kafka: Loopback) -> None:
    async def test(api: Api) -> None:
        for headers in ({"Authorization": ""}, authorization("hr_wrong"), {"Authorization": "Bearer x.y.z"}):
            response = await api.client.post("/api/v1/ingest", content=b"{", headers=headers)
            assert error_of(response)[:2] == (401, "UNAUTHENTICATED")
            assert response.headers["WWW-Authenticate"] == "Snowflake"

    with_api(tmp_path, kafka, test)


def test_caller_without_the_role_gets_403_and_learns_nothing(tmp_path: Path, kafka: Loopback) -> None:
    async def test(api: Api) -> None:
        answers = set()
        for key in (api.keys.viewer, api.keys.nobody):
            for source in (STREAM, "nope"):
                response = await api.ingest({"records": {source: [RECORD]}}, **authorization(key))
                answers.add(error_of(response))
        assert answers == {
            (
                403,
                "PERMISSION_DENIED",
                (
                    "Not allowed to ingest records in workspace 'prod'; "
                    "ask an owner of the workspace for a role that may"
                ),
            )
        }
        malformed = await api.client.post("/api/v1/ingest", content=b"{", headers=authorization(api.keys.nobody))
        assert malformed.status_code == 403

    with_api(tmp_path, kafka, test)
    assert not kafka.published


def test_viewer_may_do_a_dry_run(tmp_path: Path, kafka: Loopback) -> None:
    async def test(api: Api) -> None:
        response = await api.ingest(body_of(dry_run=True), **authorization(api.keys.viewer))
        assert response.status_code == 200

    with_api(tmp_path, kafka, test)


def test_workspace_is_the_one_that_the_credential_is_bound_to(tmp_path: Path, kafka: Loopback) -> None:
    async def test(api: Api) -> None:
        response = await api.ingest(body_of(), **authorization(api.keys.elsewhere))
        errors = response.json()["sources"][STREAM]["records"]["errors"]
        assert errors == [
            {"index": 0, "error": {"code": "INVALID_ARGUMENT", "message": f"Unknown stream source: '{STREAM}'"}}
        ]

    with_api(tmp_path, kafka, test)


def test_wrong_structure_is_400_for_the_whole_request(tmp_path: Path, kafka: Loopback) -> None:
    async def test(api: Api) -> None:
        response = await api.ingest({"records": {STREAM: [RECORD] * 11}})
        assert error_of(response)[:2] == (400, "INVALID_ARGUMENT")
        response = await api.client.post("/api/v1/ingest", content=b"not json")
        assert error_of(response)[:2] == (400, "INVALID_ARGUMENT")

    with_api(tmp_path, kafka, test)
    assert not kafka.published


def test_body_past_the_limit_is_413(tmp_path: Path, kafka: Loopback) -> None:
    async def test(api: Api) -> None:
        response = await api.client.post("/api/v1/ingest", content=b" " * (MAX_INGEST_BODY_BYTES + 1))
        assert error_of(response) == (
            413,
            "TOO_LARGE",
            f"Request body is larger than {MAX_INGEST_BODY_BYTES} bytes; send fewer records in a request",
        )

    with_api(tmp_path, kafka, test)


def test_body_that_does_not_arrive_is_a_400_that_ends_the_connection(
    tmp_path: Path, kafka: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(*_arguments: object) -> bytes:
        raise SlowBodyError("late")

    monkeypatch.setattr("ingest_api.ingestion.pipeline.read_body", late)

    async def test(api: Api) -> None:
        response = await api.ingest(body_of())
        assert error_of(response) == (400, "INVALID_ARGUMENT", "late")
        assert response.headers["Connection"] == "close"

    with_api(tmp_path, kafka, test)


def test_a_late_body_of_a_caller_with_many_on_their_way_is_a_429(
    tmp_path: Path, kafka: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(*_arguments: object) -> bytes:
        raise SlowBodyError("late")

    monkeypatch.setattr("ingest_api.ingestion.pipeline.read_body", late)
    monkeypatch.setattr("ingest_api.ingestion.pipeline.MAX_INGEST_ARRIVING", 0)

    async def test(api: Api) -> None:
        response = await api.ingest(body_of())
        code, name, message = error_of(response)
        assert (code, name, response.headers["Retry-After"]) == (429, "RESOURCE_EXHAUSTED", "1")
        assert "bodies of this account are on their way" in message

    with_api(tmp_path, kafka, test)


def test_names_in_upper_case_are_taken_and_no_content_type_is_json(tmp_path: Path, kafka: Loopback) -> None:
    async def test(api: Api) -> None:
        record = b'{"TIMESTAMP": "2024-01-15 10:30:00", "USER_ID": "u", "AMOUNT": "inf"}'
        content = b'{"records": {"TRANSACTIONS_STREAM": [%s]}}' % record
        response = await api.client.post("/api/v1/ingest", content=content)
        assert response.status_code == 200
        assert list(response.json()["sources"]) == ["TRANSACTIONS_STREAM"]

    with_api(tmp_path, kafka, test)


def test_too_large_a_record_is_refused_by_itself(tmp_path: Path, kafka: Loopback) -> None:
    async def test(api: Api) -> None:
        response = await api.ingest(body_of(RECORD, RECORD | {"user_id": "u" * 200_000}))
        assert response.status_code == 207
        assert [each["error"]["code"] for each in response.json()["sources"][STREAM]["records"]["errors"]] == [
            "RECORD_TOO_LARGE"
        ]

    with_api(tmp_path, kafka, test)
    assert len(kafka.published) == 1


def test_records_of_one_source_keep_their_order_in_one_partition(tmp_path: Path, kafka: Loopback) -> None:
    async def test(api: Api) -> None:
        assert (await api.ingest(body_of(*[RECORD | {"user_id": str(i)} for i in range(10)]))).status_code == 200

    with_api(tmp_path, kafka, test)
    assert len({(topic, partition) for topic, partition, _, _ in kafka.published}) == 1
    assert [reply.index for *_, reply in kafka.published] == list(range(10))
    assert [bytes([0x30 + i]) in value for i, (_, _, value, _) in enumerate(kafka.published)] == [True] * 10


def test_source_without_views_succeeds_once_kafka_has_the_record(tmp_path: Path) -> None:
    plan = documented_plan({})

    def confirm(_topic: str, reply: ReplyAddress) -> list[Ack]:
        alone.deliver(reply, None)
        return []

    alone = Loopback(plan, confirm)

    async def test(api: Api) -> None:
        response = await api.ingest(body_of())
        assert response.status_code == 200
        assert views_of(response) == {"failed": 0, "results": []}

    with_api(tmp_path, alone, test)


def test_dropped_record_is_a_success(tmp_path: Path, kafka: Loopback) -> None:
    kafka.behaviour = lambda _topic, reply: [Transformed(reply.request, reply.index, [], [])]

    async def test(api: Api) -> None:
        response = await api.ingest(body_of())
        assert response.status_code == 200
        assert views_of(response)["results"] == [{"name": USER_VIEW, "version": "v1", "status": "success"}]

    with_api(tmp_path, kafka, test)


def test_failure_of_some_records_names_them_and_the_other_views_succeed(tmp_path: Path) -> None:
    plan = documented_plan({USER_VIEW: STREAM, FRAUD_VIEW: STREAM})

    def fail_odd(_topic: str, reply: ReplyAddress) -> list[Ack]:
        sent = [(0, 0, 1)] if reply.index % 2 else [(0, 0, 1), (1, 2, 1)]
        failures = [(1, "FUNCTION_FAILED", "ZeroDivisionError: division by zero")] if reply.index % 2 else []
        return [
            *(Written(reply.request, reply.index, view, partition, rows) for view, partition, rows in sent),
            Transformed(reply.request, reply.index, sent, failures),
        ]

    async def test(api: Api) -> None:
        bad = dict(RECORD) | {"amount": None}
        response = await api.ingest(body_of(bad, *[RECORD] * 4))
        assert response.status_code == 207
        assert views_of(response) == {
            "failed": 1,
            "results": [
                {"name": USER_VIEW, "version": "v1", "status": "success"},
                {
                    "name": FRAUD_VIEW,
                    "version": "v1",
                    "status": "failed",
                    "error": {
                        "code": "UDF_EXECUTION_FAILED",
                        "message": "ZeroDivisionError: division by zero (records 2, 4)",
                        "retryable": False,
                    },
                },
            ],
        }

    with_api(tmp_path, Loopback(plan, fail_odd), test)


@pytest.mark.parametrize(("code", "told"), [("VIEW_FAILED", "FAILED_PRECONDITION"), ("UNKNOWN_SCHEMA", "INTERNAL")])
def test_a_view_that_fails_has_a_code_of_the_reference(tmp_path: Path, code: str, told: str) -> None:
    def fail(_topic: str, reply: ReplyAddress) -> list[Ack]:
        return [Transformed(reply.request, reply.index, [], [(0, code, "why")])]

    async def test(api: Api) -> None:
        (result,) = views_of(await api.ingest(body_of(RECORD)))["results"]
        assert result["error"] == {"code": told, "message": "why", "retryable": False}

    with_api(tmp_path, Loopback(documented_plan({USER_VIEW: STREAM}), fail), test)


def test_silence_until_the_deadline_is_unavailable_and_retryable(tmp_path: Path, kafka: Loopback) -> None:
    kafka.behaviour = lambda _topic, _reply: []

    async def test(api: Api) -> None:
        response = await api.ingest(body_of())
        assert response.status_code == 207
        assert views_of(response)["results"][0]["error"] == {
            "code": "UNAVAILABLE",
            "message": "no answer within 0.05 s; the record may still be stored. Send it again: that replaces it",
            "retryable": True,
        }

    with_api(tmp_path, kafka, test, deadline_seconds=0.05)


def test_record_that_kafka_did_not_take_is_reported_and_the_others_are_not(tmp_path: Path, kafka: Loopback) -> None:
    store = kafka.behaviour

    def lose_first(topic: str, reply: ReplyAddress) -> list[Ack]:
        if reply.index == 0:
            kafka.deliver(reply, "Kafka did not take the record: gone")
            return []
        return store(topic, reply)

    kafka.behaviour = lose_first

    async def test(api: Api) -> None:
        response = await api.ingest(body_of(RECORD, RECORD))
        assert response.status_code == 207
        source = response.json()["sources"][STREAM]
        assert source["records"] == {
            "total": 2,
            "failed": 1,
            "errors": [
                {"index": 0, "error": {"code": "UNAVAILABLE", "message": "Kafka did not take the record: gone"}}
            ],
        }
        assert source["feature_views"]["failed"] == 0

    with_api(tmp_path, kafka, test)


def test_request_that_kafka_took_nothing_of_is_503(tmp_path: Path, kafka: Loopback) -> None:
    def lose(_topic: str, reply: ReplyAddress) -> list[Ack]:
        kafka.deliver(reply, "Kafka did not take the record: gone")
        return []

    kafka.behaviour = lose

    async def test(api: Api) -> None:
        response = await api.ingest(body_of(RECORD, RECORD))
        assert error_of(response) == (503, "UNAVAILABLE", "Kafka did not take the record: gone")
        assert response.headers["Retry-After"] == "1"

    with_api(tmp_path, kafka, test)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"failure": "Kafka: all brokers down"}, 503, "UNAVAILABLE"),
        ({"reply_partition": None}, 503, "UNAVAILABLE"),
        ({"refused": OverloadedError("full")}, 429, "RESOURCE_EXHAUSTED"),
    ],
)
def test_what_cannot_succeed_now_is_refused_at_once_with_retry_after(
    change: dict[str, Any], status: int, code: str, tmp_path: Path, kafka: Loopback
) -> None:
    for name, value in change.items():
        setattr(kafka, name, value)

    async def test(api: Api) -> None:
        response = await api.ingest(body_of())
        assert error_of(response)[:2] == (status, code)
        assert response.headers["Retry-After"] == "1"
        dry = await api.ingest(body_of(dry_run=True))
        assert dry.status_code == 200

    with_api(tmp_path, kafka, test)
    assert not kafka.published


def test_sources_are_not_called_unknown_before_definitions_were_read(tmp_path: Path, kafka: Loopback) -> None:
    async def test(api: Api) -> None:
        assert error_of(await api.ingest(body_of(dry_run=True)))[:2] == (503, "UNAVAILABLE")

    with_api(tmp_path, kafka, test, complete=False)


def test_new_plan_is_used_from_the_next_request_on(tmp_path: Path, kafka: Loopback) -> None:
    async def test(api: Api) -> None:
        assert len(views_of(await api.ingest(body_of(dry_run=True)))["results"]) == 1
        newer = documented_plan({USER_VIEW: STREAM, FRAUD_VIEW: STREAM})
        kafka.newest = type(newer)(**{name: getattr(newer, name) for name in newer.__struct_fields__} | {"number": 4})
        names = [view["name"] for view in views_of(await api.ingest(body_of(dry_run=True)))["results"]]
        assert names == [FRAUD_VIEW, USER_VIEW]

    with_api(tmp_path, kafka, test)


def test_dry_run_without_a_valid_record_lists_no_views(tmp_path: Path, kafka: Loopback) -> None:
    async def test(api: Api) -> None:
        response = await api.ingest(body_of({}, dry_run=True))
        assert response.status_code == 207
        assert views_of(response) == {"failed": 0, "results": []}

    with_api(tmp_path, kafka, test)


def test_source_without_records_succeeds_and_writes_nothing(tmp_path: Path, kafka: Loopback) -> None:
    async def test(api: Api) -> None:
        response = await api.ingest({"records": {STREAM: []}})
        assert response.status_code == 200
        assert response.json()["sources"][STREAM] == {
            "records": {"total": 0, "failed": 0},
            "feature_views": {"failed": 0, "results": []},
        }

    with_api(tmp_path, kafka, test)


@pytest.mark.parametrize("dry_run", [True, False])
def test_unknown_source_without_records_is_named_and_nothing_is_stored(
    dry_run: bool, tmp_path: Path, kafka: Loopback
) -> None:
    async def test(api: Api) -> None:
        response = await api.ingest({"records": {STREAM: [RECORD], "nope": []}, "dry_run": dry_run})
        assert error_of(response) == (400, "INVALID_ARGUMENT", "Unknown stream source: 'nope'")

    with_api(tmp_path, kafka, test)
    assert not kafka.published


@pytest.mark.parametrize("dry_run", [True, False])
def test_diagnostics_come_last_and_only_if_asked_for(dry_run: bool, tmp_path: Path, kafka: Loopback) -> None:
    async def test(api: Api) -> None:
        content = (await api.ingest(body_of(dry_run=dry_run, include_diagnostics=True))).json()
        assert list(content) == ["request_id", "status", "sources", "diagnostics"]
        told = content["diagnostics"]
        timings = ["total_ms", "validation_ms", "ingestion_ms"]
        assert list(told) == [*timings, "feature_views", "failures", "notices"]
        assert all(told[name] >= 0 for name in timings)
        (view,) = told["feature_views"][STREAM]
        assert view["became"] == ({"rows": 1} if dry_run else {"unknown": 1})
        assert "diagnostics" not in (await api.ingest(body_of(dry_run=dry_run))).json()

    with_api(tmp_path, kafka, test)


def test_a_body_may_be_compressed_and_says_what_it_is(tmp_path: Path, kafka: Loopback) -> None:
    async def test(api: Api) -> None:
        body = json.dumps(body_of()).encode()
        for headers, content in (({"Content-Encoding": "gzip"}, gzip.compress(body)), ({"Content-Encoding": ""}, body)):
            assert (await api.client.post("/api/v1/ingest", content=content, headers=headers)).status_code == 200
        for headers in ({"Content-Encoding": "gzip"}, {"Content-Type": "text/xml"}):
            refused = await api.client.post("/api/v1/ingest", content=body, headers=headers)
            assert error_of(refused)[:2] == (400, "INVALID_ARGUMENT")
        bomb = gzip.compress(b" " * (MAX_INGEST_BODY_BYTES + 1))
        refused = await api.client.post("/api/v1/ingest", content=bomb, headers={"Content-Encoding": "gzip"})
        assert error_of(refused)[:2] == (413, "TOO_LARGE")

    with_api(tmp_path, kafka, test)


def test_unexpected_error_is_500_in_the_same_shape(tmp_path: Path, kafka: Loopback) -> None:
    kafka.refused = ZeroDivisionError("a bug")

    async def test(api: Api) -> None:
        status, code, message = error_of(await api.ingest(body_of()))
        assert (status, code) == (500, "INTERNAL")
        assert "a bug" not in message

    with_api(tmp_path, kafka, test)


def test_other_paths_and_methods_are_answered_in_json(tmp_path: Path, kafka: Loopback) -> None:
    async def test(api: Api) -> None:
        assert error_of(await api.client.get("/nope"))[:2] == (404, "NOT_FOUND")
        response = await api.client.get("/api/v1/ingest")
        assert error_of(response) == (405, "INVALID_ARGUMENT", "GET is not allowed at /api/v1/ingest")
        assert response.headers["Allow"] == "POST"

    with_api(tmp_path, kafka, test)


@pytest.mark.parametrize("chosen", ["", "x" * 129, "a\tb", "caf\xe9"])
def test_request_id_that_cannot_stand_in_a_log_line_is_replaced(chosen: str, tmp_path: Path, kafka: Loopback) -> None:
    async def test(api: Api) -> None:
        response = await api.client.post(
            "/api/v1/ingest", json=body_of(), headers={b"X-Request-ID": chosen.encode("latin-1")}
        )
        assert response.json()["request_id"] == response.headers["X-Request-ID"]
        assert response.headers["X-Request-ID"].startswith("req_")

    with_api(tmp_path, kafka, test)
