import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
from starlette.datastructures import QueryParams

from access.roles import Action, Principal, Role
from ingest_api.registry.calls import ENDPOINTS, MAX_NUMBER, Call, RefusedError
from ingest_api.registry.subject_rights import SubjectRights
from schemas.errors import ForbiddenError, UnavailableError
from schemas.limits import MAX_SCHEMA_DEPTH, MAX_SUBJECT_CHARACTERS
from schemas.registry.fold import Registration, Registry

if TYPE_CHECKING:
    from infra.kafka.schema_registry import SchemaRegistry


def schema(name: str) -> str:
    return json.dumps({"type": "record", "name": name, "fields": [{"name": "x", "type": "long"}]})


A, B, C = schema("a"), schema("b"), schema("c")
SOURCE = "prod.source.events-value"


class Topic:
    """A schema registry: what was read of its topic, what other processes wrote since, and whether Kafka is there."""

    def __init__(self) -> None:
        self.known = Registry()
        self.unread: list[tuple[str, str]] = []
        self.is_away = False
        self._offset = 0

    def read_to_end(self, timeout_seconds: float) -> None:
        assert timeout_seconds == 5
        if self.is_away:
            raise UnavailableError("Kafka is away")
        for subject, text in self.unread:
            self.known.register_record(self._offset, msgspec.json.encode(Registration(subject=subject, schema=text)))
            self._offset += 1
        self.unread.clear()

    def lookup(self, subject: str, text: str) -> Any:
        return self.known.lookup(subject, text)

    def register(self, subject: str, text: str, timeout_seconds: float) -> tuple[int, str]:
        self.unread.append((subject, text))
        self.read_to_end(timeout_seconds)
        found = self.lookup(subject, text)
        return found.schema.id, found.schema.guid


@pytest.fixture
def topic() -> Topic:
    """Knows A and B under ``s`` and A under ``test.source.t-value``; C under ``s`` was written elsewhere just now."""
    made = Topic()
    made.unread = [("s", A), ("s", B), ("test.source.t-value", A)]
    made.read_to_end(5)
    made.unread = [("s", C)]
    return made


Ask = Callable[..., Any]


@pytest.fixture
def ask(topic: Topic) -> Ask:
    """Calls an endpoint as a reader of ``prod``, to which ``s`` belongs."""

    def call(
        endpoint: str, *names: str, body: object = None, roles: Mapping[str, Role] | None = None, **query: str
    ) -> Any:
        method, path = endpoint.split()
        (found,) = [each for each in ENDPOINTS if (each.method, each.path) == (method, path)]
        held = {key: frozenset({role}) for key, role in ({"prod": Role.VIEWER} if roles is None else roles).items()}
        rights = SubjectRights(Principal("0" * 32, "x", is_admin=False, roles=held, default_workspace=None), "prod")
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        registry = cast("SchemaRegistry", topic)
        return found.answer(Call(registry, rights, 5, names, QueryParams(query), raw))

    return call


def refusal(ask: Ask, *arguments: str, **options: Any) -> tuple[int, int]:
    with pytest.raises(RefusedError) as caught:
        ask(*arguments, **options)
    return caught.value.status, caught.value.error_code


class TestRegistering:
    def test_a_schema_gets_the_id_that_every_process_gives(self, ask: Ask) -> None:
        first = ask("POST subjects/*/versions", "new", body={"schema": A})
        assert first["id"] == 1
        assert ask("POST subjects/*/versions", "newer", body={"schema": A, "schemaType": "AVRO"}) == first

    @pytest.mark.parametrize("subject", ["", "a\nb", "x" * (MAX_SUBJECT_CHARACTERS + 1)])
    def test_a_name_that_is_none_is_refused(self, subject: str, ask: Ask) -> None:
        assert refusal(ask, "POST subjects/*/versions", subject, body={"schema": A}) == (422, 42208)

    def test_the_longest_name_is_taken(self, ask: Ask) -> None:
        assert ask("POST subjects/*/versions", "é" * MAX_SUBJECT_CHARACTERS, body={"schema": A})["id"] == 1

    def test_under_a_sources_subject_there_is_what_apply_registered_and_nothing_else(
        self, ask: Ask, topic: Topic
    ) -> None:
        topic.unread.append((SOURCE, B))
        assert ask("POST subjects/*/versions", SOURCE, body={"schema": B})["id"] == 2
        assert refusal(ask, "POST subjects/*/versions", SOURCE, body={"schema": A}) == (409, 409)
        assert [each.schema.text for each in topic.known.versions(SOURCE)] == [B]

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            (b"{", 400, 400),
            (b"\xff", 400, 400),
            (b'{"metadata":{"a":' + b"[" * 100_000, 400, 400),
            (b"[]", 422, 42201),
            ({}, 422, 42201),
            ({"schema": {"type": "long"}}, 422, 42201),
            ({"schema": A, "schemaType": "PROTOBUF"}, 422, 42201),
            ({"schema": A, "references": [{"name": "x"}]}, 422, 42201),
            ({"schema": A, "metadata": {"a": 1}}, 422, 42201),
            ({"schema": A, "ruleSet": {"a": 1}}, 422, 42201),
            ({"schema": "[" * 100_000}, 422, 42201),
        ],
        ids=range(11),
    )
    def test_what_goes_beyond_a_plain_avro_schema_is_refused(
        self, body: object, status: int, code: int, ask: Ask
    ) -> None:
        for path in ("POST subjects/*/versions", "POST subjects/*"):
            assert refusal(ask, path, "s", body=body) == (status, code)

    def test_what_is_empty_there_is_nothing(self, ask: Ask) -> None:
        body: dict[str, Any] = {"schema": A, "schemaType": None, "references": [], "metadata": {}, "ruleSet": None}
        assert ask("POST subjects/*/versions", "s", body=body)["id"] == 1

    def test_a_schema_of_too_many_levels_says_how_many_are_taken(self, ask: Ask) -> None:
        with pytest.raises(RefusedError, match=f"deeper than {MAX_SCHEMA_DEPTH} levels"):
            ask("POST subjects/*/versions", "s", body={"schema": "[" * 100_000})


class TestNotFound:
    @pytest.mark.parametrize(
        ("call", "id_found"),
        [
            (("GET schemas/ids/*", "4"), None),
            (("GET subjects/*/versions/*", "s", "3"), 4),
            (("GET subjects/*/versions/*", "s", "latest"), 4),
            (("GET subjects/*/versions/*", "s", "-1"), 4),
        ],
    )
    def test_what_another_process_wrote_is_found(self, call: tuple[str, ...], id_found: int | None, ask: Ask) -> None:
        found = ask(*call)
        assert (found["schema"], found.get("id")) == (C, id_found)

    def test_it_is_found_by_its_text_and_guid_too(self, ask: Ask, topic: Topic) -> None:
        found = ask("POST subjects/*", "s", body={"schema": C})
        assert (found["subject"], found["version"], found["id"]) == ("s", 3, 4)
        topic.unread = [("s", schema("d"))]
        guid = Topic.register(Topic(), "elsewhere", schema("d"), 5)[1]
        assert ask("GET schemas/guids/*", guid.upper())["id"] == 5

    @pytest.mark.parametrize(
        ("call", "code"),
        [
            (("GET schemas/ids/*", "9"), 40403),
            (("GET schemas/ids/*/versions", "9"), 40403),
            (("GET schemas/guids/*", "no-guid"), 40403),
            (("GET subjects/*/versions", "nobody"), 40401),
            (("GET subjects/*/versions/*", "nobody", "1"), 40401),
            (("GET subjects/*/versions/*", "s", "4"), 40402),
        ],
    )
    def test_it_is_said_only_once_all_was_read(self, call: tuple[str, ...], code: int, ask: Ask, topic: Topic) -> None:
        assert refusal(ask, *call) == (404, code)
        assert topic.unread == []
        topic.is_away = True
        with pytest.raises(UnavailableError):
            ask(*call)

    def test_of_a_schema_it_tells_whether_the_subject_is_there(self, ask: Ask) -> None:
        assert refusal(ask, "POST subjects/*", "s", body={"schema": schema("d")}) == (404, 40403)
        assert refusal(ask, "POST subjects/*", "nobody", body={"schema": A}) == (404, 40401)

    def test_what_is_known_is_answered_while_kafka_is_away(self, ask: Ask, topic: Topic) -> None:
        topic.is_away = True
        assert ask("GET schemas/ids/*", "1")["schema"] == A
        assert ask("POST subjects/*", "s", body={"schema": B})["version"] == 2
        assert ask("GET schemas/guids/*", ask("GET schemas/ids/*", "2")["guid"])["id"] == 2
        assert ask("GET schemas/types") == ["AVRO"]


class TestNumbers:
    @pytest.mark.parametrize("version", ["0", "-2", "1.0", "", "one", "\uff11", "9" * 5000, str(MAX_NUMBER + 1)])
    def test_a_version_that_is_none_is_refused(self, version: str, ask: Ask) -> None:
        assert refusal(ask, "GET subjects/*/versions/*", "s", version) == (422, 42202)

    @pytest.mark.parametrize("schema_id", ["", "x", "1.0", "\uff11", "--1", "9" * 5000])
    def test_an_id_that_is_none_is_refused(self, schema_id: str, ask: Ask) -> None:
        assert refusal(ask, "GET schemas/ids/*", schema_id) == (422, 422)

    def test_a_negative_id_is_nobodys(self, ask: Ask) -> None:
        assert refusal(ask, "GET schemas/ids/*", "-1") == (404, 40403)

    @pytest.mark.parametrize(
        ("query", "page"),
        [
            ({}, [1, 2, 3]),
            ({"offset": "1"}, [2, 3]),
            ({"offset": "-5", "limit": "2"}, [1, 2]),
            ({"offset": "1", "limit": "1"}, [2]),
            ({"limit": "0"}, []),
            ({"limit": "-1"}, [1, 2, 3]),
            ({"offset": "9"}, []),
        ],
    )
    def test_a_list_comes_in_pages(self, query: dict[str, str], page: list[int], ask: Ask) -> None:
        assert ask("GET subjects/*/versions", "s", **query) == page

    def test_a_page_that_is_none_is_refused(self, ask: Ask) -> None:
        assert refusal(ask, "GET subjects/*/versions", "s", limit="all") == (422, 422)


class TestRights:
    def test_subjects_and_uses_are_those_that_the_caller_may_read(self, ask: Ask) -> None:
        both = {"prod": Role.VIEWER, "test": Role.VIEWER}
        assert ask("GET subjects", roles=both) == ["s", "test.source.t-value"]
        assert ask("GET subjects") == ["s"]
        assert ask("GET subjects", roles=both, subjectPrefix="te") == ["test.source.t-value"]
        assert ask("GET schemas/ids/*/versions", "1") == [{"subject": "s", "version": 1}]
        assert len(ask("GET schemas/ids/*/versions", "1", roles=both)) == 2

    @pytest.mark.parametrize("path", ["GET schemas/ids/*", "GET schemas/ids/*/versions"])
    def test_a_schema_that_only_others_use_is_refused(self, path: str, ask: Ask) -> None:
        with pytest.raises(ForbiddenError):
            ask(path, "2", roles={"test": Role.VIEWER})

    def test_a_use_that_was_written_elsewhere_just_now_counts(self, ask: Ask, topic: Topic) -> None:
        topic.unread = [("test.source.u-value", B)]
        assert ask("GET schemas/ids/*", "2", roles={"test": Role.VIEWER})["schema"] == B

    def test_only_registering_takes_the_right_to_register(self) -> None:
        needed = {f"{each.method} {each.path}": each.action for each in ENDPOINTS}
        assert needed.pop("POST subjects/*/versions") is Action.REGISTER_SCHEMA
        assert set(needed.values()) == {Action.READ_SCHEMA}
