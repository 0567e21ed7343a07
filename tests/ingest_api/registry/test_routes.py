import asyncio
import base64
import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from confluent_kafka.schema_registry import (
    Schema,
    SchemaRegistryClient,
    header_schema_id_serializer,
    topic_subject_name_strategy,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

from access.roles import Principal, Role
from infra.http.server import HttpServer
from infra.kafka.schema_registry import SchemaRegistry
from infra.process.ports import LOOPBACK, free_port
from ingest_api.registry import routes
from ingest_api.registry.routes import CONTENT_TYPE, registry_api
from ingest_api.registry.subject_rights import SubjectRights
from schemas.errors import SlowBodyError, UnauthenticatedError
from schemas.limits import MAX_REGISTRY_BODY_BYTES
from schemas.topics import source_topic

RECORD = {"x": "longer than the five bytes below which stock deserializers see no record"}
KEY = "a key"
READ_ONLY = "a reader's key"
ELSEWHERE = "an editor's key in workspace test only"
NOBODY = "a key without roles"


def basic(key: str) -> str:
    return "Basic " + base64.b64encode(f"user:{key}".encode()).decode()


def caller(**roles: Role) -> SubjectRights:
    """A caller with a role each in some workspaces, where subjects of no Headrace topic belong to prod."""
    held = {workspace: frozenset({role}) for workspace, role in roles.items()}
    return SubjectRights(Principal("0" * 32, "caller", is_admin=False, roles=held, default_workspace="test"), "prod")


CALLERS = {
    basic(KEY): caller(prod=Role.EDITOR),
    basic(READ_ONLY): caller(prod=Role.VIEWER),
    basic(ELSEWHERE): caller(test=Role.EDITOR),
    basic(NOBODY): caller(),
}


async def authenticate(authorization: str | None) -> SubjectRights:
    if authorization not in CALLERS:
        raise UnauthenticatedError("unknown key")
    return CALLERS[authorization]


@contextmanager
def serving(registry: SchemaRegistry, timeout_seconds: float = 30) -> Iterator[str]:
    """Serves the routes on a socket, from a thread of its own; yields the URL."""
    loop = asyncio.new_event_loop()
    server = HttpServer([registry_api(registry, authenticate, timeout_seconds)], LOOPBACK, 0, limit_concurrency=64)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
    try:
        yield server.url
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture(scope="module")
def url(bootstrap: str) -> Iterator[str]:
    registry = SchemaRegistry(bootstrap)
    registry.start()
    with serving(registry) as address:
        yield address
    registry.stop()


@pytest.fixture(scope="module")
def other_url(bootstrap: str) -> Iterator[str]:
    """The same registry through another process, as far as it can tell."""
    registry = SchemaRegistry(bootstrap)
    registry.start()
    with serving(registry) as address:
        yield address
    registry.stop()


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, auth=("user", KEY), timeout=30) as client:
        yield client


@pytest.fixture
def stock(url: str) -> Iterator[SchemaRegistryClient]:
    with stock_client(url) as client:
        yield client


def stock_client(url: str) -> SchemaRegistryClient:
    return SchemaRegistryClient({"url": url, "basic.auth.user.info": f"user:{KEY}"})


def schema(name: str) -> str:
    return json.dumps({"type": "record", "name": name, "fields": [{"name": "x", "type": "string"}]})


def there_and_back(url: str, topic: str, text: str | None, **config: Any) -> Any:
    """Serializes a record with one stock client and deserializes it with another."""
    context = SerializationContext(topic, MessageField.VALUE, [])
    with stock_client(url) as sender, stock_client(url) as receiver:
        serializer = AvroSerializer(
            sender, text, conf={name.replace("_", "."): value for name, value in config.items()}
        )
        return AvroDeserializer(receiver)(serializer(RECORD, context), context)


class TestStockSerializers:
    def test_auto_register(self, url: str, unique: str) -> None:
        assert there_and_back(url, unique, schema(unique)) == RECORD

    def test_registered_beforehand(self, url: str, unique: str, stock: SchemaRegistryClient) -> None:
        stock.register_schema(f"{unique}-value", Schema(schema(unique), "AVRO"))
        assert there_and_back(url, unique, schema(unique), auto_register_schemas=False) == RECORD

    def test_not_registered_beforehand(self, url: str, unique: str) -> None:
        with pytest.raises(SchemaRegistryError) as refused:
            there_and_back(url, unique, schema(unique), auto_register_schemas=False)
        assert (refused.value.http_status_code, refused.value.error_code) == (404, 40401)

    def test_use_latest_version(self, url: str, unique: str, stock: SchemaRegistryClient) -> None:
        stock.register_schema(f"{unique}-value", Schema(schema(f"{unique}_old"), "AVRO"))
        stock.register_schema(f"{unique}-value", Schema(schema(unique), "AVRO"))
        answer = there_and_back(url, unique, None, auto_register_schemas=False, use_latest_version=True)
        assert answer == RECORD

    def test_use_schema_id(self, url: str, unique: str, stock: SchemaRegistryClient) -> None:
        schema_id = stock.register_schema(f"{unique}-value", Schema(schema(unique), "AVRO"))
        answer = there_and_back(url, unique, None, auto_register_schemas=False, use_schema_id=schema_id)
        assert answer == RECORD

    def test_guid_in_a_header(self, url: str, unique: str) -> None:
        answer = there_and_back(url, unique, schema(unique), schema_id_serializer=header_schema_id_serializer)
        assert answer == RECORD

    def test_topic_names_as_subjects_without_asking_for_associations(self, url: str, unique: str) -> None:
        answer = there_and_back(url, unique, schema(unique), subject_name_strategy=topic_subject_name_strategy)
        assert answer == RECORD

    def test_the_prefix_carries_the_id_that_was_registered(
        self, url: str, unique: str, stock: SchemaRegistryClient
    ) -> None:
        with stock_client(url) as sender:
            value = AvroSerializer(sender, schema(unique))(RECORD, SerializationContext(unique, MessageField.VALUE))
        registered = stock.lookup_schema(f"{unique}-value", Schema(schema(unique), "AVRO"))
        assert value is not None
        assert value[:1] == b"\0"
        assert int.from_bytes(value[1:5], "big") == registered.schema_id

    def test_a_record_is_read_through_another_process(self, url: str, other_url: str, unique: str) -> None:
        context = SerializationContext(unique, MessageField.VALUE)
        with stock_client(url) as sender, stock_client(other_url) as receiver:
            for number in range(5):
                text = schema(f"{unique}_{number}")
                value = AvroSerializer(sender, text)({"x": str(number)}, context)
                assert AvroDeserializer(receiver)(value, context) == {"x": str(number)}


def test_the_whole_of_each_answer(http: httpx.Client, unique: str) -> None:
    text = schema(unique)
    registered = http.post(f"/subjects/{unique}/versions", json={"schema": text}).json()
    schema_id, guid = registered["id"], registered["guid"]
    assert registered == {"id": schema_id, "guid": str(uuid.UUID(guid))}
    described = {
        "subject": unique,
        "version": 1,
        "id": schema_id,
        "guid": guid,
        "schemaType": "AVRO",
        "schema": text,
    }
    assert http.post(f"/subjects/{unique}", json={"schema": text, "schemaType": "AVRO"}).json() == described
    for version in ("1", "latest", "-1"):
        assert http.get(f"/subjects/{unique}/versions/{version}").json() == described
    assert http.get(f"/subjects/{unique}/versions").json() == [1]
    assert http.get(f"/schemas/ids/{schema_id}").json() == {"schema": text, "schemaType": "AVRO", "guid": guid}
    assert http.get(f"/schemas/ids/{schema_id}/versions").json() == [{"subject": unique, "version": 1}]
    by_guid = {"schema": text, "schemaType": "AVRO", "guid": guid, "id": schema_id}
    assert http.get(f"/schemas/guids/{guid.upper()}").json() == by_guid
    assert http.get("/schemas/types").json() == ["AVRO"]


def test_lists_take_a_prefix_an_offset_and_a_limit(http: httpx.Client, unique: str) -> None:
    for name in "cab":
        http.post(f"/subjects/{unique}.{name}/versions", json={"schema": schema(unique)})
    prefixed = {"subjectPrefix": f"{unique}."}
    assert http.get("/subjects", params=prefixed).json() == [f"{unique}.{name}" for name in "abc"]
    assert http.get("/subjects", params=prefixed | {"offset": "1", "limit": "1"}).json() == [f"{unique}.b"]
    assert set(http.get("/subjects").json()) >= {f"{unique}.{name}" for name in "abc"}


@pytest.mark.parametrize("subject", ["a/b", "a/versions", "ü €", "%2F", "a+b", ":.ctx:s"])
def test_subjects_may_contain_anything_printable(stock: SchemaRegistryClient, unique: str, subject: str) -> None:
    name = f"{unique}{subject}"
    schema_id = stock.register_schema(name, Schema(schema(unique), "AVRO"))
    assert stock.get_latest_version(name).schema_id == schema_id
    assert stock.get_latest_version(name).subject == name
    assert name in stock.get_subjects()


def test_registering_again_answers_the_same_and_makes_no_version(http: httpx.Client, unique: str) -> None:
    answers = [http.post(f"/subjects/{unique}/versions", json={"schema": schema(unique)}).json() for _ in range(3)]
    assert answers == [answers[0]] * 3
    assert http.get(f"/subjects/{unique}/versions").json() == [1]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "message"),
    [
        ("GET", "/subjects/{unique}/versions", None, 404, 40401, "Subject '{unique}' not found."),
        ("GET", "/subjects/{unique}/versions/latest", None, 404, 40401, "Subject '{unique}' not found."),
        ("GET", "/subjects/{known}/versions/2", None, 404, 40402, "Version 2 not found."),
        ("GET", "/subjects/{known}/versions/x", None, 422, 42202, "'x' is not valid"),
        ("GET", "/subjects/{known}/versions/0", None, 422, 42202, "'0' is not valid"),
        ("GET", "/subjects/{known}/versions/" + "9" * 5000, None, 422, 42202, "is not valid"),
        ("GET", "/subjects/{known}/versions?limit=x", None, 422, 422, "limit 'x' is not valid"),
        ("POST", "/subjects/{unique}", {"schema": '"int"'}, 404, 40401, "Subject '{unique}' not found."),
        ("POST", "/subjects/{known}", {"schema": '"int"'}, 404, 40403, "Schema not found under subject '{known}'."),
        ("GET", "/schemas/ids/2000000000", None, 404, 40403, "Schema 2000000000 not found"),
        ("GET", "/schemas/ids/2000000000/versions", None, 404, 40403, "Schema 2000000000 not found"),
        ("GET", "/schemas/ids/x", None, 422, 422, "schema id 'x' is not valid"),
        ("GET", "/schemas/guids/x", None, 404, 40403, "guid 'x' not found"),
        ("POST", "/subjects/{unique}/versions", {"schema": '{"type":"record"}'}, 422, 42201, "not an Avro schema"),
        ("POST", "/subjects/{unique}/versions", {"schema": {}}, 422, 42201, "Expected `str`, got `object`"),
        ("POST", "/subjects/{unique}/versions", {}, 422, 42201, "required field `schema`"),
        ("POST", "/subjects/{unique}/versions", {"schema": "{}", "schemaType": "JSON"}, 422, 42201, "'JSON'"),
        ("POST", "/subjects/{unique}/versions", {"schema": '"int"', "references": [{}]}, 422, 42201, "references"),
        ("POST", "/subjects/{unique}/versions", {"schema": '"int"', "ruleSet": {"a": 1}}, 422, 42201, "ruleSet"),
        ("POST", "/subjects//versions", {"schema": '"int"'}, 422, 42208, "subject '' is not valid"),
        ("POST", "/subjects/%00/versions", {"schema": '"int"'}, 422, 42208, "is not valid"),
        ("POST", "/subjects/" + "s" * 513 + "/versions", {"schema": '"int"'}, 422, 42208, "is not valid"),
        ("GET", "/associations/resources/-/t?resourceType=topic", None, 404, 404, "serves no GET on this path"),
        ("GET", "/schemas/nothing", None, 404, 404, "serves no GET on this path"),
        ("DELETE", "/subjects/{known}/versions", None, 405, 405, "serves no DELETE on this path"),
    ],
)
def test_every_refusal_has_its_code_and_the_registrys_shape(
    http: httpx.Client, unique: str, method: str, path: str, body: object, status: int, code: int, message: str
) -> None:
    known = f"{unique}-known"
    http.post(f"/subjects/{known}/versions", json={"schema": schema(unique)})
    fill = {"{unique}": unique, "{known}": known}
    for name, value in fill.items():
        path, message = path.replace(name, value), message.replace(name, value)
    answer = http.request(method, path, json=body) if body is not None else http.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, CONTENT_TYPE)
    assert set(answer.json()) == {"error_code", "message"}
    assert answer.json()["error_code"] == code
    assert message in answer.json()["message"]


def test_a_body_that_is_no_json_or_too_large_is_refused(http: httpx.Client, unique: str) -> None:
    for body, status in (
        (b"{", 400),
        (b"\xff", 400),
        (b"[" * 100_000, 422),
        (b" " * (MAX_REGISTRY_BODY_BYTES + 1), 413),
    ):
        answer = http.post(f"/subjects/{unique}/versions", content=body)
        assert answer.status_code == status
        assert answer.json()["error_code"] in {400, 413, 42201}


@pytest.mark.parametrize("path", ["/subjects", "/schemas/ids/1", "/associations/resources/-/t", "/schemas/nothing"])
def test_without_a_known_key_nothing_is_told(url: str, path: str) -> None:
    answer = httpx.get(url + path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="headrace"'
    assert answer.headers["content-type"] == CONTENT_TYPE
    assert answer.json() == {"error_code": 401, "message": "unknown key"}


def test_a_reader_may_look_up_but_not_register(url: str, http: httpx.Client, unique: str) -> None:
    http.post(f"/subjects/{unique}/versions", json={"schema": schema(unique)})
    with httpx.Client(base_url=url, auth=("user", READ_ONLY)) as reader:
        assert reader.post(f"/subjects/{unique}", json={"schema": schema(unique)}).status_code == 200
        refused = reader.post(f"/subjects/{unique}/versions", json={"schema": schema(unique)})
    assert refused.status_code == 403
    assert refused.json() == {
        "error_code": 403,
        "message": "Not allowed to register schemas in workspace 'prod'",
    }


def test_rights_follow_the_subject_and_not_the_workspace_that_a_key_is_bound_to(
    url: str, http: httpx.Client, unique: str
) -> None:
    text = schema(unique)
    ours, theirs = f"prod.updates.{unique}-value", f"test.updates.{unique}-value"
    registered = http.post(f"/subjects/{ours}/versions", json={"schema": text}).json()
    body = {"schema": text}
    with httpx.Client(base_url=url, auth=("user", ELSEWHERE)) as other:
        refused = [
            *(other.post(path, json=body) for path in (f"/subjects/{ours}/versions", f"/subjects/{ours}")),
            other.post(f"/subjects/{unique}/versions", json=body),
            other.post(f"/subjects/prod.source.{unique}-value/versions", json=body),
            *(other.get(path) for path in (f"/subjects/{ours}/versions", f"/subjects/{ours}/versions/1")),
            other.get(f"/schemas/ids/{registered['id']}"),
            other.get(f"/schemas/ids/{registered['id']}/versions"),
            other.get(f"/schemas/guids/{registered['guid']}"),
        ]
        assert [answer.status_code for answer in refused] == [403] * len(refused)
        assert {answer.json()["error_code"] for answer in refused} == {403}
        assert other.get("/schemas/types").status_code == 200

        assert other.post(f"/subjects/{theirs}/versions", json=body).json() == registered
        assert {subject for subject in other.get("/subjects").json() if unique in subject} == {theirs}
        assert {subject for subject in http.get("/subjects").json() if unique in subject} == {ours}
        assert other.get(f"/schemas/ids/{registered['id']}").json()["schema"] == text
        uses = other.get(f"/schemas/ids/{registered['id']}/versions").json()
        assert uses == [{"subject": theirs, "version": 1}]


def test_who_may_read_schemas_nowhere_learns_nothing(url: str) -> None:
    with httpx.Client(base_url=url, auth=("user", NOBODY)) as nobody:
        for path in ("/subjects", "/schemas/types", "/schemas/ids/1", "/schemas/nothing", "/subjects/s/versions"):
            assert nobody.get(path).status_code == 403


def test_subject_of_a_source_takes_no_schema_but_that_which_was_applied(
    url: str, http: httpx.Client, unique: str, bootstrap: str
) -> None:
    topic = source_topic("prod", unique)
    path = f"/subjects/{topic}-value/versions"
    assert http.post(path, json={"schema": schema(unique)}).status_code == 409
    applying = SchemaRegistry(bootstrap)
    applying.start()
    schema_id, guid = applying.register(f"{topic}-value", schema(unique))
    applying.stop()
    same = json.dumps(json.loads(schema(unique)), indent=2)
    assert http.post(path, json={"schema": same}).json() == {"id": schema_id, "guid": guid}
    assert there_and_back(url, topic, same) == RECORD  # with auto.register.schemas, as it is by default
    documented = json.loads(schema(unique)) | {"doc": "mine"}
    for other in ('"string"', json.dumps(documented)):
        refused = http.post(path, json={"schema": other})
        assert (refused.status_code, refused.json()["error_code"]) == (409, 409)
        assert "`headrace apply`" in refused.json()["message"]
    assert http.get(path).json() == [1]


def test_too_deep_a_schema_is_refused_in_words_of_ours(http: httpx.Client, unique: str) -> None:
    for body in ({"schema": "[" * 100_000}, {"schema": "[" * 200 + "]" * 200}):
        refused = http.post(f"/subjects/{unique}/versions", json=body)
        assert (refused.status_code, refused.json()["error_code"]) == (422, 42201)
        assert refused.json()["message"] == "the schema nests deeper than 100 levels of JSON; flatten it"


def test_body_that_does_not_arrive_is_a_408(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def late(*_arguments: object) -> bytes:
        raise SlowBodyError("late")

    monkeypatch.setattr(routes, "read_body", late)
    refused = httpx.post(f"{url}/subjects/s/versions", auth=("user", KEY), content=b"")
    assert (refused.status_code, refused.json()) == (408, {"error_code": 408, "message": "late"})


def test_without_kafka_calls_answer_503_and_the_server_stays_responsive() -> None:
    registry = SchemaRegistry(f"{LOOPBACK}:{free_port()}")
    registry.start()
    with serving(registry, 0.3) as url, httpx.Client(base_url=url, auth=("user", KEY), timeout=30) as http:
        for answer in (http.post("/subjects/s/versions", json={"schema": schema("a")}), http.get("/schemas/ids/1")):
            assert answer.status_code == 503
            assert answer.json()["error_code"] == routes.STORE_AWAY
            assert "check that Kafka runs" in answer.json()["message"]
            assert int(answer.headers["retry-after"]) > 0
        assert http.get("/schemas/types").status_code == 200
    registry.stop()
