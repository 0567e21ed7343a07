from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from starlette.responses import Response

from infra.http.api import Api
from infra.http.openapi import openapi_document


@dataclass(frozen=True)
class Key:
    name: str = "key"

    @property
    def openapi(self) -> dict[str, Any]:
        return {"type": "http", "scheme": self.name}


def an_api(name: str, *schemes: Key) -> Api:
    item = {"get": {"summary": name, "responses": {}}}
    return Api(
        name=name,
        prefixes=(f"/{name}",),
        routes=[],
        refuse=lambda error, _request: Response(error.message, 400),
        schemes=schemes,
        openapi={f"/{name}": item},
    )


def test_the_document_of_a_server_has_what_each_api_says_of_itself() -> None:
    document = openapi_document("Both", [an_api("a", Key()), an_api("b")])
    assert document["info"] == {"title": "Both", "version": version("headrace")}
    assert document["components"] == {"securitySchemes": {"key": {"type": "http", "scheme": "key"}}}
    assert document["paths"] == {
        "/a": {"get": {"tags": ["a"], "security": [{"key": []}], "summary": "a", "responses": {}}},
        "/b": {"get": {"tags": ["b"], "security": [], "summary": "b", "responses": {}}},
    }
