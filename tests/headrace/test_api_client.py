import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from headrace.api_client import ApiClient, encode_json, read_key
from infra.paths import ADMIN_KEY
from infra.settings import Settings
from schemas.errors import RequestError, UnauthenticatedError, UnavailableError

Respond = Callable[[httpx.Request], httpx.Response]


class Server:
    """The other end: what was asked of it, and what it says."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.respond: Respond = lambda _request: httpx.Response(200, json={"ok": True})

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.respond(request)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made, client = Server(), httpx.Client
    monkeypatch.setattr(
        httpx, "Client", lambda **options: client(**options, transport=httpx.MockTransport(made.handle))
    )
    return made


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited, without waiting."""
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    return found


@pytest.fixture
def api(server: Server) -> Iterator[ApiClient]:
    assert server.requests == []
    with ApiClient("0.0.0.0", 8181, "Bearer hr_x") as client:  # noqa: S104 - where a server may listen
        yield client


def answering(status: int, **body: Any) -> Respond:
    return lambda _request: httpx.Response(status, **body)


class TestKeys:
    def test_the_operators_own_is_taken_unless_a_file_is_named(self, tmp_path: Path) -> None:
        (tmp_path / ADMIN_KEY).write_text("hr_admin\n")
        (tmp_path / "mine").write_text("  hr_mine\n\n")
        settings = Settings(data=tmp_path)
        assert read_key(settings, None) == "hr_admin"
        assert read_key(settings, tmp_path / "mine") == "hr_mine"

    def test_a_missing_file_is_named_with_both_flags(self, tmp_path: Path) -> None:
        with pytest.raises(UnauthenticatedError) as caught:
            read_key(Settings(data=tmp_path), None)
        for part in (str(tmp_path / ADMIN_KEY), "--data", "--key-file"):
            assert part in caught.value.message

    @pytest.mark.parametrize(("content", "problem"), [(b" \n", "is empty"), (b"hr_\xff", "cannot be read")])
    def test_a_file_without_a_key_is_said(self, content: bytes, problem: str, tmp_path: Path) -> None:
        (tmp_path / "key").write_bytes(content)
        with pytest.raises(UnauthenticatedError, match=problem):
            read_key(Settings(data=tmp_path), tmp_path / "key")


def test_a_document_is_sent_as_json_and_the_answers_comes_back(api: ApiClient, server: Server) -> None:
    assert api.post("/v1/x", {"name": "é", "n": [1, None]}) == {"ok": True}
    (request,) = server.requests
    assert (request.method, str(request.url)) == ("POST", "http://127.0.0.1:8181/v1/x")
    assert request.content == '{"name":"é","n":[1,null]}'.encode()
    assert (request.headers["Authorization"], request.headers["Content-Type"]) == ("Bearer hr_x", "application/json")


@pytest.mark.parametrize("status", [429, 503, 504])
def test_a_busy_server_may_be_asked_again(status: int, api: ApiClient, server: Server) -> None:
    server.respond = answering(status, json={"message": "later"})
    with pytest.raises(UnavailableError, match=rf"^http://127\.0\.0\.1:8181/v1/x answered {status}: later$"):
        api.post("/v1/x", {})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"json": {"error": {"code": "X", "message": "no such source"}}}, "no such source"),
        ({"json": {"error": "no such service", "message": "no such service", "code": 5}}, "no such service"),
        ({"json": {"error": {}}}, '{"error":{}}'),
        ({"json": ["no"]}, '["no"]'),
        ({"text": "<html>gone</html>"}, "<html>gone</html>"),
        ({"text": "<html>\n  <p>a\tb\n" + "x" * 1000}, "<html> <p>a b " + "x" * 186),
    ],
)
def test_a_refusal_is_told_in_the_servers_words(body: Any, said: str, api: ApiClient, server: Server) -> None:
    server.respond = answering(404, **body)
    with pytest.raises(RequestError) as caught:
        api.post("/v1/x", {})
    assert caught.value.message == f"http://127.0.0.1:8181/v1/x answered 404: {said}"


@pytest.mark.parametrize(
    ("error", "said"), [(httpx.ConnectError("refused"), "refused"), (httpx.ReadTimeout(""), "ReadTimeout")]
)
def test_a_server_that_is_away_is_named(error: httpx.HTTPError, said: str, api: ApiClient, server: Server) -> None:
    def fail(_request: httpx.Request) -> httpx.Response:
        raise error

    server.respond = fail
    with pytest.raises(UnavailableError, match=f"http://127.0.0.1:8181 does not answer: {said}; start it"):
        api.post("/v1/x", {})


def test_a_server_of_another_kind_is_told_by_its_answer(api: ApiClient, server: Server) -> None:
    server.respond = answering(200, text="<html>hello</html>")
    with pytest.raises(RequestError, match=r"answered no JSON: .*; correct host and port"):
        api.post("/v1/x", {})


def nested(depth: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(depth):
        made = [made]
    return made


@pytest.mark.parametrize(
    "document", [{"x": float("nan")}, {"x": "\ud800"}, nested(100_000)], ids=["NaN", "half", "deep"]
)
def test_what_json_cannot_say_is_not_sent(document: object, api: ApiClient, server: Server) -> None:
    with pytest.raises(RequestError, match=r"the request for /v1/x cannot be written as JSON: .*; correct its values"):
        api.post("/v1/x", document)
    assert server.requests == []


def test_json_is_short_and_in_utf_8() -> None:
    encoded = encode_json({"a": ["é", 1.5, True]})
    assert encoded == '{"a":["é",1.5,true]}'.encode()
    assert json.loads(encoded) == {"a": ["é", 1.5, True]}


def test_who_is_told_to_wait_waits_and_calls_again(server: Server, api: ApiClient, slept: list[float]) -> None:
    busy = httpx.Response(429, headers={"Retry-After": "7"}, json={"error": {"message": "wait"}})
    answers = iter([busy, busy, httpx.Response(200, json={"ok": True})])
    server.respond = lambda _request: next(answers)
    assert api.post("/x", {}) == {"ok": True}
    assert slept == [7, 7]


def test_who_is_told_to_wait_for_long_gives_up(server: Server, api: ApiClient, slept: list[float]) -> None:
    server.respond = answering(429, headers={"Retry-After": "25"}, json={"error": {"message": "rate used up"}})
    with pytest.raises(UnavailableError, match="answered 429: rate used up"):
        api.post("/x", {})
    assert slept == [25, 25]
