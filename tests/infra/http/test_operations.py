from starlette.applications import Starlette
from starlette.testclient import TestClient

from infra.http.operations import OPERATIONS_PATHS, operations_routes
from infra.metrics import RECORDS


def client(reasons: dict[str, str]) -> TestClient:
    return TestClient(Starlette(routes=list(operations_routes(lambda: reasons))))


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
    probe = TestClient(Starlette(routes=operations_routes(lambda: reasons, lambda: notes)))
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


def test_the_paths_are_those_that_overload_lets_through() -> None:
    assert {route.path for route in operations_routes(dict)} == OPERATIONS_PATHS
