from collections.abc import Callable
from typing import Any

import httpx
import pytest

from headrace.server_status import ServerStatus, server_status

URL = "http://127.0.0.1:8181"
READY: dict[str, Any] = {"json": {"status": "ready"}}
METRICS = """\
# TYPE headrace_http_requests counter
headrace_http_requests_total{route="/a",status="200"} 40
headrace_http_requests_total{route="/b",status="404"} 2
# TYPE headrace_ack_seconds histogram
headrace_ack_seconds_bucket{le="+Inf"} 8
headrace_ack_seconds_count 8
headrace_ack_seconds_sum 0.4
# TYPE headrace_clock_step_held_seconds gauge
headrace_clock_step_held_seconds{workspace="prod",partition="0"} 3600
headrace_clock_step_held_seconds{workspace="prod",partition="1"} 7200
"""

Look = Callable[..., ServerStatus]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Look:
    """Asks a server for its status that answers ``/readyz`` and ``/metrics`` as told."""
    client = httpx.Client

    def ask(ready: Any = None, metrics: Any = "", status: int = 200, metrics_status: int = 200) -> ServerStatus:
        def respond(request: httpx.Request) -> httpx.Response:
            if request.url.path == "/readyz":
                return httpx.Response(status, **(ready or READY))
            if isinstance(metrics, Exception):
                raise metrics
            return httpx.Response(metrics_status, text=metrics)

        monkeypatch.setattr(
            httpx, "Client", lambda **options: client(**options, transport=httpx.MockTransport(respond))
        )
        return server_status("ingest", URL)

    return ask


def test_a_server_tells_what_it_did_since_it_started(look: Look) -> None:
    assert look(metrics=METRICS) == ServerStatus("ingest", URL, "", 42, 50.0, {}, 7200.0)


def test_one_that_did_nothing_yet_has_no_mean(look: Look) -> None:
    assert look() == ServerStatus("ingest", URL, "")


def test_one_that_is_not_ready_says_why(look: Look) -> None:
    reasons = {"kafka": "away", "definitions": "not read yet"}
    found = look({"json": {"reasons": reasons}}, METRICS, status=503)
    assert (found.problem, found.requests) == ("not ready: kafka: away; definitions: not read yet", 42)


@pytest.mark.parametrize("body", [{"text": "busy"}, {"json": {}}, {"json": ["a"]}, {"json": {"reasons": 5}}])
def test_a_refusal_without_reasons_is_quoted(body: Any, look: Look) -> None:
    text = httpx.Response(503, **body).text
    assert look(body, status=503).problem == f"/readyz answered 503: {text}"


def test_what_became_of_records_and_rows_is_told_by_view_whatever_counts_it(look: Look) -> None:
    metrics = """\
# TYPE headrace_rows counter
headrace_rows_total{workspace="prod",view="a@V1",outcome="late"} 3
headrace_rows_total{workspace="prod",view="b@V1",outcome="new"} 4
headrace_rows_created{workspace="prod",view="b@V1",outcome="new"} 1763000000
# TYPE headrace_view_records counter
headrace_view_records_total{workspace="prod",view="a@V1",outcome="dropped"} 5
# TYPE headrace_records counter
headrace_records_total{workspace="prod",source="s",outcome="transformed"} 6
"""
    assert look(metrics=metrics).outcomes == {"prod": {"a@V1": {"late": 3, "dropped": 5}, "b@V1": {"new": 4}}}


def test_records_without_a_zone_are_told_of_the_sources_that_had_some(look: Look) -> None:
    metrics = """\
# TYPE headrace_records_without_zone counter
headrace_records_without_zone_total{workspace="prod",source="a"} 3
headrace_records_without_zone_total{workspace="prod",source="b"} 0
headrace_records_without_zone_total{workspace="dev",source="b"} 1
headrace_records_without_zone_created{workspace="prod",source="b"} 1763000000
"""
    assert look(metrics=metrics).without_zone == {"prod": {"a": 3}, "dev": {"b": 1}}


def test_views_that_do_not_load_are_told_by_workspace(look: Look) -> None:
    failed = {"prod": {"spending@V1": "No module named 'numpy'"}}
    assert look({"json": {"failed_views": failed}}).failed_views == failed


@pytest.mark.parametrize("body", [{"text": "hello"}, {"json": [1]}, {"json": {"failed_views": {"prod": 5}}}])
def test_of_something_else_that_listens_there_no_views_are_known(body: Any, look: Look) -> None:
    assert look(body).failed_views == {}


@pytest.mark.parametrize(
    ("error", "said"), [(httpx.ConnectError("refused"), "refused"), (httpx.ReadTimeout(""), "ReadTimeout")]
)
def test_one_that_is_away_is_a_result(error: Exception, said: str, look: Look) -> None:
    assert look(metrics=error) == ServerStatus("ingest", URL, f"does not answer: {said}")


def test_one_without_metrics_is_a_result(look: Look) -> None:
    assert look(metrics_status=404).problem.startswith("does not answer: Client error '404 Not Found'")


@pytest.mark.parametrize("page", ["<html>hello</html>", "headrace_http_requests_total many"])
def test_something_else_that_listens_there_is_a_result(page: str, look: Look) -> None:
    problem = "answers, but /metrics is not that of a Headrace server; correct host and port"
    assert look(metrics=page) == ServerStatus("ingest", URL, problem)
