from collections.abc import Callable, Mapping
from typing import Any

import pytest
from starlette.responses import Response
from starlette.testclient import TestClient

from infra.http.api import Api
from infra.http.dispatch import Dispatcher
from infra.http.operations import operations_api
from infra.metrics import RECORDS


def client(
    reasons: dict[str, str], notes: Callable[[], Mapping[str, Any]] = dict, described: tuple[Api, ...] = ()
) -> TestClient:
    return TestClient(Dispatcher([operations_api("Test", lambda: reasons, notes, described)], limit_concurrency=0))


def test_alive_whatever_is_wrong() -> None:
    answer = client({"kafka": "is away"}).get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_when_nothing_stands_in_the_way() -> None:
    answer = client({}).get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


def test_not_ready_says_why_and_when_to_ask_again() -> None:
    answer = client({"kafka": "127.0.0.1:9092 does not answer"}).get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "not ready", "reasons": {"kafka": "127.0.0.1:9092 does not answer"}}
    assert answer.headers["retry-after"] == "1"


def test_what_is_wrong_and_keeps_nothing_from_being_ready_is_told_beside() -> None:
    notes = {"failed_views": {"prod": {"a@V1": "No module named 'torch'"}}, "more": {}}
    reasons: dict[str, str] = {}
    probe = client(reasons, lambda: notes)
    answer = probe.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "failed_views": notes["failed_views"]})
    reasons["start"] = "is under way"
    assert probe.get("/readyz").json()["failed_views"] == notes["failed_views"]


def test_readiness_is_asked_anew_each_time() -> None:
    reasons = {"start": "is under way"}
    probe = client(reasons)
    assert probe.get("/readyz").status_code == 503
    reasons.clear()
    assert probe.get("/readyz").status_code == 200


def test_metrics_are_in_the_text_format_of_prometheus() -> None:
    RECORDS.labels("dev", "a-source", "written").inc(3)
    answer = client({}).get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'headrace_records_total{outcome="written",source="a-source",workspace="dev"} 3.0' in answer.text


def test_the_document_of_the_server_has_its_own_paths_and_those_of_the_other_apis() -> None:
    other = Api(
        name="other",
        prefixes=("/other",),
        routes=[],
        refuse=lambda error, _request: Response(error.message, 400),
        openapi={"/other": {"post": {"responses": {}}}},
    )
    document = client({}, described=(other,)).get("/openapi.json").json()
    assert sorted(document["paths"]) == ["/healthz", "/metrics", "/openapi.json", "/other", "/readyz"]


def test_what_is_described_is_what_is_served() -> None:
    api = operations_api("Test", dict)
    assert sorted(api.openapi) == sorted(api.prefixes)
    assert [client({}).get(path).status_code for path in api.openapi] == [200] * len(api.prefixes)


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "message"),
    [
        ("GET", "/nowhere", 404, "UNKNOWN_PATH", "there is nothing at /nowhere"),
        ("POST", "/healthz", 405, "UNKNOWN_METHOD", "POST is not allowed at /healthz"),
    ],
)
def test_what_operators_ask_wrongly_is_refused_as_json(
    method: str, path: str, status: int, code: str, message: str
) -> None:
    answer = client({}).request(method, path, headers={"X-Request-ID": "mine"})
    assert answer.status_code == status
    assert answer.json() == {"code": code, "message": message, "request_id": "mine"}


def test_a_page_that_cannot_be_made_is_an_internal_error() -> None:
    def broken() -> Mapping[str, str]:
        raise LookupError("of something")

    probe = TestClient(Dispatcher([operations_api("Test", broken)], limit_concurrency=1))
    answer = probe.get("/readyz", headers={"X-Request-ID": "mine"})
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL")
