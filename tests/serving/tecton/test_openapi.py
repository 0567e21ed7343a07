import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from starlette.routing import Route

from access.roles import Role
from infra.http.paths import GET_FEATURES, OPENAPI
from serving.tecton.openapi import PATHS
from serving.tecton.requests import SNAKE, parse_get_features, parse_params
from tests.serving.world import NOON, World, Writer, plan_of, service_text, view_text

NEWEST = 'schema=[Field("user_id", String), Field("at", Timestamp), Field("site", String)]'
PLAN = plan_of(view_text("newest", NEWEST) + service_text("s", "newest_V1"))
METADATA = (
    "includeNames",
    "includeDataTypes",
    "includeEffectiveTimes",
    "includeServingStatus",
    "includeSloInfo",
    "includeMissingReasons",
)

POST = PATHS[GET_FEATURES]["post"]
BODY = POST["requestBody"]["content"]["application/json"]["schema"]


def names_in(schema: Any) -> set[str]:
    """Returns the names of all properties in a schema, at any depth."""
    properties = schema.get("properties", {})
    return set(properties).union(*(names_in(each) for each in properties.values()))


def names_of(value: Any, schema: Any) -> None:
    """Checks that each name in a JSON value is one that its schema knows, and that all which it asks for are there."""
    if isinstance(value, dict) and "properties" in schema:
        assert set(schema.get("required", ())) <= set(value) <= set(schema["properties"])
        for name, part in value.items():
            names_of(part, schema["properties"][name])
    if isinstance(value, list):
        for part in value:
            names_of(part, schema.get("items", {}))


def asked(data: Path, method: str, path: str, role: Role | None, params: Mapping[str, Any] | None) -> httpx.Response:
    world = World(data, PLAN)

    async def scenario() -> httpx.Response:
        async with world.running() as client:
            headers = {} if role is None else {"Authorization": f"Tecton-key {world.key(role)}"}
            return await client.request(method, path, json={"params": params}, headers=headers)

    return asyncio.run(scenario())


def test_it_names_exactly_what_is_served(tmp_path: Path) -> None:
    api = World(tmp_path, PLAN).api
    served = {route.path: route.methods for route in api.routes if isinstance(route, Route)}
    assert {path: {method.upper() for method in item} for path, item in PATHS.items()} == served


def test_the_server_hands_it_out_with_the_ways_to_authenticate(tmp_path: Path) -> None:
    document = asked(tmp_path, "GET", OPENAPI, None, None).json()
    operation = document["paths"][GET_FEATURES]["post"]
    assert operation == {**POST, "tags": ["tecton-features"], "security": operation["security"]}
    assert operation["security"] == [{"TectonKey": []}, {"SnowflakeToken": []}, {"Basic": []}]
    assert {name for each in operation["security"] for name in each} == set(document["components"]["securitySchemes"])


def test_the_request_names_every_field_that_is_read_and_no_other() -> None:
    assert names_in(BODY) == set(SNAKE)


def test_a_request_of_its_defaults_is_one_that_names_no_option() -> None:
    params = BODY["properties"]["params"]["properties"]
    options = {
        group: {name: each["default"] for name, each in params[group]["properties"].items() if "default" in each}
        for group in ("metadataOptions", "requestOptions")
    }
    plain, told = (
        parse_get_features(parse_params(msgspec.json.encode({"params": {"featureServiceName": "s", **more}})))
        for more in ({}, options)
    )
    assert told == plain
    assert set(options["metadataOptions"]) == set(METADATA)


def test_an_answer_is_as_described(tmp_path: Path) -> None:
    params = {
        "featureServiceName": "s",
        "joinKeyMap": {"user_id": "ann"},
        "metadataOptions": dict.fromkeys(METADATA, True),
    }
    with Writer(tmp_path, PLAN) as writer:
        writer.write("newest@V1", {"user_id": "ann", "at": NOON - 1, "site": "a"})
    answer = asked(tmp_path, "POST", GET_FEATURES, Role.CONSUMER, params)
    schema = POST["responses"]["200"]["content"]["application/json"]["schema"]
    assert "$ref" not in str(schema)
    assert (answer.status_code, set(answer.json())) == (200, {"result", "metadata"})
    names_of(answer.json(), schema)


@pytest.mark.parametrize(
    ("status", "role", "params"),
    [
        (400, Role.CONSUMER, {}),
        (401, None, {}),
        (403, Role.VIEWER, {}),
        (404, Role.CONSUMER, {"featureServiceName": "x"}),
        (503, Role.CONSUMER, {"featureServiceName": "s", "joinKeyMap": {"user_id": "ann"}}),
    ],
)
def test_refusals_are_as_described(tmp_path: Path, status: int, role: Role | None, params: dict[str, Any]) -> None:
    answer = asked(tmp_path, "POST", GET_FEATURES, role, params)
    assert answer.status_code == status
    described = POST["responses"][str(status)]
    names_of(answer.json(), described["content"]["application/json"]["schema"])
    assert {"Retry-After"} & set(described.get("headers", ())) == {"Retry-After"} & {
        name.title() for name in answer.headers
    }


def test_it_tells_of_every_status_that_its_operation_is_answered_with() -> None:
    assert list(POST["responses"]) == ["200", "400", "401", "403", "404", "429", "500", "503"]
