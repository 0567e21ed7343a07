import asyncio
import json
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message, Scope

from access.roles import Role
from infra.http.dispatch import Dispatcher
from infra.http.paths import GET_FEATURES
from infra.paths import state_path
from schemas.definitions.ids import defined_id
from schemas.limits import MAX_READ_BODY_BYTES, MAX_READS, MAX_READS_ARRIVING
from tests.serving.world import (
    DAY,
    HOUR,
    INSTALLATION,
    MINUTE,
    NOON,
    SECOND,
    TEN_MINUTES,
    World,
    Writer,
    get_features,
    plan_of,
    service_text,
    view_text,
)
from tests.serving.writer_process import PLAN as WRITTEN_ELSEWHERE

ROOT = Path(__file__).parents[3]
WINDOWS = f"""{TEN_MINUTES} features=[
    Aggregate("sum", "clicks", timedelta(hours=1)), Aggregate("mean", "amount", timedelta(days=1)),
    Aggregate("last", "site", timedelta(days=1), n=2)]"""
NEWEST = 'schema=[Field("user_id", String), Field("at", Timestamp), Field("site", String), Field("seen", Timestamp)]'
TEXT = view_text("newest", NEWEST) + view_text("windows", WINDOWS) + service_text("s", "windows_V1", "newest_V1")
PLAN = plan_of(TEXT)
ALL_METADATA = {
    "includeNames": True,
    "includeDataTypes": True,
    "includeEffectiveTimes": True,
    "includeServingStatus": True,
}

Scenario = Callable[[World, httpx.AsyncClient], Awaitable[None]]


def play(data: Path, scenario: Scenario, *, written: bool = True) -> None:
    """Plays a scenario against a server over the plan above; without ``written`` no processor ever ran."""

    async def run() -> None:
        world = World(data, PLAN)
        async with world.running() as client:
            await scenario(world, client)

    if written:
        with Writer(data, PLAN):
            pass
    asyncio.run(run())


def refusal(answer: httpx.Response) -> tuple[int, int, str]:
    """Returns status, code and message of a refusal, once its form was checked."""
    body = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert set(body) == {"error", "message", "code"}
    assert body["error"] == body["message"]
    assert ("retry-after" in answer.headers) == (answer.status_code in {429, 503})
    return answer.status_code, body["code"], body["message"]


def test_values_and_metadata_of_one_key_are_answered_whole(tmp_path: Path) -> None:
    clock = NOON + 5 * MINUTE
    with Writer(tmp_path, PLAN) as writer:
        for minutes, clicks, amount, site in (
            (70, 1, 1.0, "a"),
            (50, 2, 2.0, None),
            (20, 4, None, "b"),
            (3, 8, 9.0, "c"),
        ):
            at = NOON - minutes * MINUTE if minutes > 3 else NOON + minutes * MINUTE
            writer.write("windows@V1", {"user_id": "ann", "at": at, "clicks": clicks, "amount": amount, "site": site})
        writer.write("newest@V1", {"user_id": "ann", "at": NOON - 1_004_000, "site": "d", "seen": NOON + 1})

    async def scenario(world: World, client: httpx.AsyncClient) -> None:
        world.clock = clock
        answer = await get_features(client, world.key(), "s", {"user_id": "ann"}, metadataOptions=ALL_METADATA)
        text = {"type": "string"}
        tiles, row = "2023-05-04T16:00:00Z", "2023-05-04T15:59:58.996Z"
        expected = [
            ("newest.seen", row, {"type": "timestamp"}, "2023-05-04T16:00:00.000001Z"),
            ("newest.site", row, text, "d"),
            ("windows.amount_mean_1d_10m", tiles, {"type": "float64"}, 1.5),
            ("windows.clicks_sum_1h_10m", tiles, {"type": "int64"}, "6"),
            ("windows.site_last_2_1d_10m", tiles, {"type": "array", "elementType": text}, ["a", "b"]),
        ]
        assert answer.status_code == 200
        assert answer.json() == {
            "result": {"features": [value for *_, value in expected]},
            "metadata": {
                "features": [
                    {"name": name, "effectiveTime": time, "dataType": dtype, "status": "PRESENT"}
                    for name, time, dtype, _ in expected
                ]
            },
        }

    play(tmp_path, scenario)


def test_an_unknown_key_has_no_values_and_windows_still_have_their_edge(tmp_path: Path) -> None:
    async def scenario(world: World, client: httpx.AsyncClient) -> None:
        for user in ("nobody", None):
            answer = await get_features(client, world.key(), "s", {"user_id": user}, metadataOptions=ALL_METADATA)
            metadata = answer.json()["metadata"]["features"]
            assert answer.json()["result"] == {"features": [None] * 5}
            assert {feature["status"] for feature in metadata} == {"MISSING_DATA"}
            times = [feature.get("effectiveTime") for feature in metadata]
            assert times == [None, None, *["2023-05-04T16:00:00Z"] * 3]

    play(tmp_path, scenario)


def test_why_a_value_is_missing_is_told_on_request(tmp_path: Path) -> None:
    with Writer(tmp_path, PLAN) as writer:
        writer.write("windows@V1", {"user_id": "ann", "at": NOON - 2 * HOUR, "clicks": 1, "amount": 1.0})

    async def scenario(world: World, client: httpx.AsyncClient) -> None:
        for name in ("includeMissingReasons", "include_missing_reasons"):
            answer = await get_features(client, world.key(), "s", {"user_id": "ann"}, metadataOptions={name: True})
            told = [feature.get("missing") for feature in answer.json()["metadata"]["features"]]
            assert [None if why is None else (why["reason"], why.get("eventTime")) for why in told] == [
                ("NO_EVENTS", None),
                ("NO_EVENTS", None),
                None,
                ("OUTSIDE_WINDOW", "2023-05-04T14:00:00Z"),
                ("NULL", "2023-05-04T14:00:00Z"),
            ]
            assert "2023-05-04T14:00:00Z" in told[3]["message"]

    play(tmp_path, scenario)


def test_the_null_key_is_a_key_like_any_other(tmp_path: Path) -> None:
    with Writer(tmp_path, PLAN) as writer:
        writer.write("newest@V1", {"user_id": None, "at": NOON, "site": "null's"})

    async def scenario(world: World, client: httpx.AsyncClient) -> None:
        answer = await get_features(client, world.key(), "s", {"user_id": None})
        assert answer.json()["result"]["features"][1] == "null's"

    play(tmp_path, scenario)


def test_windows_end_at_the_latest_event_on_request(tmp_path: Path) -> None:
    with Writer(tmp_path, PLAN) as writer:
        writer.write("windows@V1", {"user_id": "ann", "at": NOON - DAY, "clicks": 3})
        writer.write("windows@V1", {"user_id": "bob", "at": NOON - DAY + 10 * MINUTE, "clicks": 5})

    async def scenario(world: World, client: httpx.AsyncClient) -> None:
        options = {"aggregationLeadingEdge": "AGGREGATION_MODE_LATEST_EVENT_TIME"}
        key = world.key()
        latest = await get_features(client, key, "s", {"user_id": "ann"}, requestOptions=options)
        now = await get_features(client, key, "s", {"user_id": "ann"})
        assert latest.json()["result"]["features"][3] == "3"
        assert now.json()["result"]["features"][3] is None

    play(tmp_path, scenario)


def test_the_body_is_json_whatever_the_content_type_says(tmp_path: Path) -> None:
    async def scenario(world: World, client: httpx.AsyncClient) -> None:
        body = json.dumps(
            {"params": {"feature_service_name": "s", "workspace_name": "prod", "join_key_map": {"user_id": "a"}}}
        )
        for content_type in ("application/x-www-form-urlencoded", "text/plain", ""):
            headers = {
                "Authorization": f"tecton-KEY {world.key()}",
                "Content-Type": content_type,
            }
            answer = await client.post(GET_FEATURES, content=body, headers=headers)
            assert answer.status_code == 200

    play(tmp_path, scenario)


def test_slo_info_is_measured(tmp_path: Path) -> None:
    with Writer(tmp_path, PLAN) as writer:
        writer.write("newest@V1", {"user_id": "ann", "at": NOON, "site": "x" * 1000})

    async def scenario(world: World, client: httpx.AsyncClient) -> None:
        answer = await get_features(
            client, world.key(), "s", {"user_id": "ann"}, metadataOptions={"includeSloInfo": True}
        )
        info = answer.json()["metadata"]["sloInfo"]
        assert info["sloEligible"] is True
        assert 1000 < info["storeResponseSizeBytes"] == info["dynamodbResponseSizeBytes"] < 1200
        assert 0 < info["storeMaxLatency"] < info["serverTimeSeconds"] == info["sloServerTimeSeconds"]

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    "authorization", [None, "", "Tecton-key", "Tecton-key hr_unknown", "Bearer x", "hr_x", "Tecton-key \xff"]
)
def test_who_does_not_prove_who_it_is_gets_401_before_anything_else(tmp_path: Path, authorization: str | None) -> None:
    async def scenario(_world: World, client: httpx.AsyncClient) -> None:
        headers = [] if authorization is None else [(b"Authorization", authorization.encode("latin-1"))]
        answer = await client.post(GET_FEATURES, content=b"not even JSON", headers=headers)
        assert refusal(answer)[:2] == (401, 16)

    play(tmp_path, scenario, written=False)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_who_lacks_the_role_gets_403_and_learns_nothing(tmp_path: Path, role: Role) -> None:
    async def scenario(world: World, client: httpx.AsyncClient) -> None:
        key = world.key(role)
        answers = {
            refusal(await get_features(client, key, service, join_keys, **params))
            for service, join_keys, params in (
                ("s", {"user_id": "ann"}, {}),
                ("x", {}, {}),
                ("s", {}, {"metadataOptions": 1}),
            )
        }
        assert [answer[:2] for answer in answers] == [(403, 7)]

    play(tmp_path, scenario, written=False)


@pytest.mark.parametrize("role", [Role.CONSUMER, Role.EDITOR, Role.OWNER])
def test_a_role_counts_in_its_own_workspace_only(tmp_path: Path, role: Role) -> None:
    async def scenario(world: World, client: httpx.AsyncClient) -> None:
        own, elsewhere = world.key(role), world.key(role, workspace="dev")
        assert (await get_features(client, own, "s", {"user_id": "ann"})).status_code == 200
        assert refusal(await get_features(client, elsewhere, "s", {"user_id": "ann"}))[:2] == (403, 7)
        unknown = await get_features(client, elsewhere, "s", {"user_id": "ann"}, workspaceName="dev")
        assert refusal(unknown)[0] == 404

    play(tmp_path, scenario)


def test_a_call_that_names_no_workspace_gets_that_of_its_key_or_the_default(tmp_path: Path) -> None:
    async def scenario(world: World, client: httpx.AsyncClient) -> None:
        bound = world.key(workspace="dev", default_workspace="dev")
        default = await get_features(client, world.key(), "s", {"user_id": "ann"}, workspaceName=None)
        own = await get_features(client, bound, "s", {"user_id": "ann"}, workspaceName=None)
        assert default.status_code == 200
        assert refusal(own)[2].startswith("Unable to query FeatureService s for workspace dev")

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    ("service", "join_keys", "status", "code", "message"),
    [
        ("x", {"user_id": "ann"}, 404, 5, "Unable to query FeatureService x for workspace prod"),
        ("s", {}, 400, 3, "Missing required join key: user_id"),
        ("s", {"user_id": 1}, 400, 3, "Unexpected JSON type for user_id in joinKeyMap. Expected string or null."),
        ("s", {"user_id": "ann", "x": 1}, 400, 3, "Unknown join key: x, expected one of: [user_id]"),
        ("", {"user_id": "ann"}, 400, 3, "featureServiceName is missing in params"),
    ],
)
def test_a_request_that_cannot_be_answered_is_refused_precisely(
    tmp_path: Path, service: str, join_keys: dict[str, Any], status: int, code: int, message: str
) -> None:
    async def scenario(world: World, client: httpx.AsyncClient) -> None:
        found = refusal(await get_features(client, world.key(), service, join_keys))
        assert found[:2] == (status, code)
        assert found[2].startswith(message)

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"[]", b'{"params": 1}', b"[" * 50_000, b"x" * (MAX_READ_BODY_BYTES + 1)]
)
def test_a_body_that_is_no_request_is_a_400(tmp_path: Path, body: bytes) -> None:
    async def scenario(world: World, client: httpx.AsyncClient) -> None:
        answer = await client.post(GET_FEATURES, content=body, headers={"Authorization": f"Tecton-key {world.key()}"})
        assert refusal(answer)[:2] == (400, 3)

    play(tmp_path, scenario, written=False)


def test_paths_and_methods_that_do_not_exist_are_answered_in_the_same_form(tmp_path: Path) -> None:
    async def scenario(_world: World, client: httpx.AsyncClient) -> None:
        missing, wrong = await client.post("/api/v1/nothing"), await client.get(GET_FEATURES)
        assert refusal(missing) == (404, 5, "there is nothing at /api/v1/nothing")
        assert refusal(wrong)[:2] == (405, 12)
        assert wrong.headers["allow"] == "POST"

    play(tmp_path, scenario, written=False)


def test_state_that_no_processor_made_yet_is_503_until_it_is_there(tmp_path: Path) -> None:
    async def scenario(world: World, client: httpx.AsyncClient) -> None:
        key = world.key()
        status, code, message = refusal(await get_features(client, key, "s", {"user_id": "ann"}))
        assert (status, code) == (503, 14)
        assert "has no online state yet" in message
        assert str(tmp_path) not in message
        with Writer(tmp_path, PLAN):
            assert (await get_features(client, key, "s", {"user_id": "ann"})).status_code == 200

    play(tmp_path, scenario, written=False)


def test_a_damaged_database_is_503_and_does_not_stop_the_process(tmp_path: Path) -> None:
    async def scenario(world: World, client: httpx.AsyncClient) -> None:
        for partition in range(PLAN.partitions):
            (state_path(tmp_path, "prod", partition) / "CURRENT").write_text("nonsense\n")
        assert refusal(await get_features(client, world.key(), "s", {"user_id": "ann"}))[:2] == (503, 14)
        assert (await client.get("/healthz")).status_code == 200

    play(tmp_path, scenario)


def test_what_nobody_thought_of_is_a_500_in_the_same_form_and_a_line_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scenario(world: World, client: httpx.AsyncClient) -> None:
        monkeypatch.setattr(world.state, "open", None)
        headers = {"Authorization": f"Tecton-key {world.key()}", "X-Request-ID": "the-id"}
        body = {"params": {"featureServiceName": "s", "joinKeyMap": {"user_id": "ann"}}}
        status, code, message = refusal(await client.post(GET_FEATURES, json=body, headers=headers))
        assert (status, code) == (500, 13)
        assert "the-id" in message
        assert "TypeError" not in message

    play(tmp_path, scenario)
    assert "the-id" in capsys.readouterr().out


def test_definitions_change_without_a_restart(tmp_path: Path) -> None:
    async def scenario(world: World, client: httpx.AsyncClient) -> None:
        key = world.key()
        before = await get_features(client, key, "more", {"user_id": "ann"})
        world.definitions.plans["prod"] = plan_of(TEXT + service_text("more", "windows_V1"), number=11)
        world.services.refresh()
        after = await get_features(client, key, "more", {"user_id": "ann"})
        assert (before.status_code, after.status_code) == (404, 200)
        assert after.json() == {"result": {"features": [None, None, None]}}

    play(tmp_path, scenario)


def test_callers_whose_bodies_never_come_keep_nobody_out(tmp_path: Path) -> None:
    async def scenario(world: World, client: httpx.AsyncClient) -> None:
        key = world.key()
        head = (
            f"POST {GET_FEATURES} HTTP/1.1\r\nHost: x\r\nAuthorization: Tecton-key {key}\r\nContent-Length: 9\r\n\r\n"
        )
        waiting = [await asyncio.open_connection("127.0.0.1", world.port) for _ in range(MAX_READS + 2)]
        for _, writer in waiting:
            writer.write(head.encode())
            await writer.drain()
        for _ in range(10):
            assert (await get_features(client, key, "s", {"user_id": "ann"})).status_code == 200
        for _, writer in waiting:
            writer.close()
            await writer.wait_closed()

    play(tmp_path, scenario)


def test_a_body_that_never_comes_is_a_400_that_ends_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.http.request_body.BODY_SECONDS", 0.01)

    async def scenario(world: World, _client: httpx.AsyncClient) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        key = f"Authorization: Tecton-key {world.key()}"
        head = f"POST {GET_FEATURES} HTTP/1.1\r\nHost: x\r\n{key}\r\nContent-Length: 9\r\n\r\n"
        writer.write(head.encode() + b"{")
        answer = await asyncio.wait_for(reader.read(), 20)
        assert answer.startswith(b"HTTP/1.1 400")
        assert b'"code":3' in answer
        assert b"did not arrive within 0.01 s (1 bytes came)" in answer
        writer.close()
        await writer.wait_closed()

    play(tmp_path, scenario, written=False)


def scope_of(key: str) -> Scope:
    headers = [(b"authorization", f"Tecton-key {key}".encode())]
    return {"type": "http", "method": "POST", "path": GET_FEATURES, "headers": headers}


def test_one_request_too_many_at_a_time_is_a_429_and_the_others_are_answered(tmp_path: Path) -> None:
    async def scenario(world: World, _client: httpx.AsyncClient) -> None:
        app = Dispatcher([world.api], 10 * MAX_READS)
        body = json.dumps({"params": {"featureServiceName": "s", "joinKeyMap": {"user_id": "ann"}}}).encode()
        taken = asyncio.Event()
        in_work = asyncio.Semaphore(0)

        async def receive() -> Message:
            return {"type": "http.request", "body": body}

        async def call(*, slow: bool) -> int:
            """Returns the status; a slow caller takes its answer only later."""
            statuses: list[int] = []

            async def send(message: Message) -> None:
                statuses.append(message.get("status", 0))
                if slow and len(statuses) == 1:
                    in_work.release()
                    await taken.wait()

            await app(scope_of(world.key()), receive, send)
            return statuses[0]

        async with asyncio.TaskGroup() as group:
            slow = [group.create_task(call(slow=True)) for _ in range(MAX_READS)]
            for _ in slow:
                await in_work.acquire()
            assert await call(slow=False) == 429
            taken.set()
        assert {task.result() for task in slow} == {200}
        assert await call(slow=False) == 200

    play(tmp_path, scenario)


def test_slow_bodies_of_one_account_leave_room_for_others_and_its_own_quick_ones(tmp_path: Path) -> None:
    async def scenario(world: World, _client: httpx.AsyncClient) -> None:
        app = Dispatcher([world.api], 10 * MAX_READS)
        body = json.dumps({"params": {"featureServiceName": "s", "joinKeyMap": {"user_id": "ann"}}}).encode()
        arrived = asyncio.Event()
        waiting = asyncio.Semaphore(0)

        async def call(key: str, *, slow: bool) -> int:
            statuses: list[int] = []

            async def receive() -> Message:
                if slow:
                    waiting.release()
                    await arrived.wait()
                return {"type": "http.request", "body": body}

            async def send(message: Message) -> None:
                statuses.append(message.get("status", 0))

            await app(scope_of(key), receive, send)
            return statuses[0]

        async with asyncio.TaskGroup() as group:
            slow = [group.create_task(call(world.key(), slow=True)) for _ in range(MAX_READS_ARRIVING)]
            for _ in slow:
                await waiting.acquire()
            assert await call(world.key(), slow=True) == 429
            for key in (world.key(), world.key(Role.EDITOR)):
                assert await call(key, slow=False) == 200
            arrived.set()
        assert {task.result() for task in slow} == {200}
        assert await call(world.key(), slow=False) == 200

    play(tmp_path, scenario)


def test_a_caller_that_leaves_is_no_longer_in_work(tmp_path: Path) -> None:
    async def scenario(world: World, client: httpx.AsyncClient) -> None:
        key = world.key()
        head = (
            f"POST {GET_FEATURES} HTTP/1.1\r\nHost: x\r\nAuthorization: Tecton-key {key}\r\nContent-Length: 9\r\n\r\n"
        )
        for _ in range(2 * MAX_READS):
            _, writer = await asyncio.open_connection("127.0.0.1", world.port)
            writer.write(head.encode())
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        assert (await get_features(client, key, "s", {"user_id": "ann"})).status_code == 200

    play(tmp_path, scenario)


def test_a_sum_that_no_int64_can_hold_is_missing_and_counted(tmp_path: Path) -> None:
    with Writer(tmp_path, PLAN) as writer:
        for minutes in (30, 20):
            at = NOON - minutes * MINUTE
            writer.write("windows@V1", {"user_id": "ann", "at": at, "clicks": 2**62, "amount": 1.0})

    async def scenario(world: World, client: httpx.AsyncClient) -> None:
        answer = await get_features(client, world.key(), "s", {"user_id": "ann"}, metadataOptions=ALL_METADATA)
        metadata = {feature.pop("name"): feature for feature in answer.json()["metadata"]["features"]}
        served = dict(zip(metadata, answer.json()["result"]["features"], strict=True))
        assert (served["windows.clicks_sum_1h_10m"], served["windows.amount_mean_1d_10m"]) == (None, 1.0)
        assert metadata["windows.clicks_sum_1h_10m"]["status"] == "MISSING_DATA"
        metrics = (await client.get("/metrics")).text
        assert re.search(r'headrace_out_of_range_values_total{[^}]*feature="clicks_sum_1h_10m"[^}]*} 1\.0', metrics)

    play(tmp_path, scenario)


def test_metrics_tell_reads_and_the_age_of_what_is_served(tmp_path: Path) -> None:
    with Writer(tmp_path, PLAN) as writer:
        writer.write("newest@V1", {"user_id": "ann", "at": NOON - HOUR - SECOND, "site": "a"})

    async def scenario(world: World, client: httpx.AsyncClient) -> None:
        await get_features(client, world.key(), "s", {"user_id": "ann"})
        metrics = (await client.get("/metrics")).text
        assert f'headrace_http_requests_total{{route="{GET_FEATURES}",status="200",workspace="prod"}}' in metrics
        assert f'headrace_read_seconds_count{{route="{GET_FEATURES}",workspace="prod"}}' in metrics
        assert 'headrace_served_value_age_seconds_bucket{le="21600.0",view="newest@V1",workspace="prod"}' in metrics

    play(tmp_path, scenario)


def test_a_read_after_an_ack_sees_what_another_process_wrote(tmp_path: Path) -> None:
    async def scenario() -> None:
        world = World(tmp_path, WRITTEN_ELSEWHERE)
        arguments = [sys.executable, "-m", "tests.serving.writer_process", str(tmp_path)]
        process = await asyncio.create_subprocess_exec(*arguments, cwd=ROOT, stdin=PIPE, stdout=PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        assert await process.stdout.readline() == b"open\n"
        async with world.running() as client:
            key = world.key()
            for number in range(1, 201):
                row = {"user_id": f"user{number % 7}", "at": NOON - number, "clicks": 1, "site": f"site{number}"}
                process.stdin.write(json.dumps(row).encode() + b"\n")
                assert await process.stdout.readline() == b"written\n"
                answer = await get_features(client, key, "s", {"user_id": row["user_id"]})
                assert answer.json()["result"]["features"][0] == str(-(-number // 7))
        process.stdin.close()
        assert await process.wait() == 0

    asyncio.run(scenario())


def test_a_service_may_be_named_by_its_id(tmp_path: Path) -> None:
    async def scenario(world: World, client: httpx.AsyncClient) -> None:
        known = defined_id(INSTALLATION, "prod", "feature_service", "s")
        headers = {"Authorization": f"Tecton-key {world.key()}"}

        async def ask(**params: Any) -> httpx.Response:
            body = {"params": {"workspaceName": "prod", "joinKeyMap": {"user_id": "ann"}, **params}}
            return await client.post(GET_FEATURES, json=body, headers=headers)

        by_name, by_id = await ask(featureServiceName="s"), await ask(featureServiceId=known)
        assert (by_id.status_code, by_id.content) == (200, by_name.content)
        other = refusal(await ask(featureServiceId="0" * 32))
        assert other[:2] == (404, 5)
        assert other[2].startswith(f"Unable to query FeatureService {'0' * 32} for workspace prod: there is no such")
        assert refusal(await ask(featureServiceName="s", featureServiceId=known))[:2] == (400, 3)

    play(tmp_path, scenario)


def test_every_answer_carries_the_callers_id(tmp_path: Path) -> None:
    async def scenario(world: World, client: httpx.AsyncClient) -> None:
        for authorization in (f"Tecton-key {world.key()}", "Tecton-key nobody"):
            headers = {"Authorization": authorization, "X-Request-ID": "mine"}
            answer = await client.post(GET_FEATURES, json={}, headers=headers)
            assert answer.headers["x-request-id"] == "mine"

    play(tmp_path, scenario)
