import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from examples.running import System
from infra.kafka.clients import producer
from infra.metrics import CLOCK_STEP_HELD_SECONDS
from infra.process.exit_codes import ExitCode
from infra.process.ports import LOOPBACK
from infra.processor_urls import announced
from schemas.definitions.ids import defined_id
from tests.headrace.commands.conftest import Headrace
from tests.headrace.test_applying import text, view, write
from tests.support.waiting import wait_until


def test_servers_definitions_and_lag_are_shown(headrace: Headrace, system: System) -> None:
    wait_until(lambda: headrace("status").exit_code == ExitCode.OK)  # serving looks for new state once a second
    done = headrace("status")
    for shown in (
        system.kafka,
        system.ingest,
        system.serving,
        "1 source, 2 views, 1 service",
        "prod.source.transactions",
    ):
        assert shown in done.stdout


def test_lag_counts_what_processors_have_not_finished(headrace: Headrace) -> None:
    event = {"user_id": "u1", "amount": 1.0, "timestamp": "2026-01-01T00:00:00Z"}
    headrace("ingest", "transactions", "-", stdin=json.dumps(event))

    def finished() -> bool:
        lags = json.loads(headrace("status", "--json").stdout)["lags"]
        assert [each["topic"] for each in lags] == ["prod.source.transactions", "prod.updates"]
        return all(each["records"] > 0 and each["lag"] == 0 for each in lags)

    wait_until(finished)


def test_running_processors_are_counted(headrace: Headrace) -> None:
    assert "processors: 1 running\n" in headrace("status").stdout
    assert json.loads(headrace("status", "--json").stdout)["processors"] == 1


def test_what_is_defined_has_the_ids_by_which_apis_know_it(headrace: Headrace) -> None:
    document = json.loads(headrace("status", "--json").stdout)
    found = {(kind, name) for kind, ids in document["ids"].items() for name in ids}
    assert ("feature_services", "fraud_detection") in found
    assert ("feature_views", "user_amounts@V1") in found
    assert ("stream_sources", "transactions") in found
    service = document["ids"]["feature_services"]["fraud_detection"]
    assert service == defined_id(document["installation"], "prod", "feature_service", "fraud_detection")
    every = [each for ids in document["ids"].values() for each in ids.values()]
    assert len(set(every)) == len(every)


@pytest.mark.parametrize("group", ["transform_group", "materialize_group"])
def test_no_processor_is_told_and_counts(
    headrace: Headrace, unique: str, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"headrace.commands.status.{group}", lambda _installation: unique)
    done = headrace("status")
    assert done.exit_code == ExitCode.UNAVAILABLE
    assert "processors: 0 running; nothing is computed" in done.stdout
    document = headrace("status", "--json")
    assert (document.exit_code, json.loads(document.stdout)["processors"]) == (ExitCode.UNAVAILABLE, 0)


def test_removed_views_that_are_still_computed_are_named(headrace: Headrace, unique: str, tmp_path: Path) -> None:
    for content in (text(view(), view("old")), text(view())):
        folder = str(write(tmp_path / "r", features=content))
        applied = headrace("apply", folder, "--workspace", unique, "--allow-removals")
        assert applied.exit_code == ExitCode.OK, applied.output
    assert "removed views that are still computed: old@V1\n" in headrace("status", "--workspace", unique).stdout
    assert json.loads(headrace("status", "--workspace", unique, "--json").stdout)["retired"] == ["old@V1"]
    assert json.loads(headrace("status", "--json").stdout)["retired"] == []


def test_a_step_of_a_clock_that_a_processor_holds_back_is_told(headrace: Headrace, system: System) -> None:
    assert "clock:" not in headrace("status").stdout
    with a_processor_here() as url, announced(system.data, url):
        CLOCK_STEP_HELD_SECONDS.labels("prod", "1").set(3 * 3600)
        CLOCK_STEP_HELD_SECONDS.labels("prod", "0").set(2 * 3600)
        shown = headrace("status")
        document = json.loads(headrace("status", "--json").stdout)
    assert f"clock: the host of {url} is 3.0 h ahead of what retention believes" in shown.stdout
    assert {each["url"]: each["clock_ahead_seconds"] for each in document["servers"]}[url] == 3 * 3600
    CLOCK_STEP_HELD_SECONDS.clear()


@contextmanager
def a_processor_here() -> Iterator[str]:
    """Answers as a processor does, with the metrics of this process."""

    class Operations(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(generate_latest() if self.path == "/metrics" else b'{"status": "ready"}')

    with ThreadingHTTPServer((LOOPBACK, 0), Operations) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_event_times_without_a_zone_are_told(headrace: Headrace) -> None:
    def count() -> int:
        servers = json.loads(headrace("status", "--json").stdout)["servers"]
        (ingest,) = [each for each in servers if each["name"] == "ingest"]
        return int(ingest["without_zone"].get("prod", {}).get("transactions", 0))

    before = count()  # other tests send some, too
    event = {"user_id": "u1", "amount": 1.0, "timestamp": "2026-01-01T00:00:00"}
    headrace("ingest", "transactions", "-", stdin=json.dumps(event))
    assert count() == before + 1
    shown = " ".join(headrace("status").stdout.split())
    assert re.search(rf"source transactions: {before + 1} records? since http://\S+ started had an event time", shown)
    assert "source transactions" not in headrace("status", "--workspace", "empty").stdout


def test_what_became_of_rows_is_told_by_view_with_words_for_what_does_not_count(headrace: Headrace) -> None:
    event = {"user_id": "u1", "amount": 1.0, "timestamp": "2020-01-01T00:00:00Z"}
    headrace("ingest", "transactions", "-", stdin=json.dumps(event))
    wait_until(lambda: json.loads(headrace("status", "--json").stdout)["outcomes"]["user_amounts@V1"]["late"] > 0)
    shown = headrace("status").stdout
    assert "late: older than the view's horizon when Kafka took them" in shown
    assert "user_amounts@V1 8 days 1 hour 10 minutes" in shown


def test_dead_letters_are_counted_and_the_newest_is_told(headrace: Headrace, system: System) -> None:
    client = producer(system.kafka)
    before = json.loads(headrace("status", "--json").stdout)["dead_letters"][0]["held"]
    client.produce("prod.source.transactions", b"[no] Avro")
    assert client.flush(20) == 0
    wait_until(lambda: json.loads(headrace("status", "--json").stdout)["dead_letters"][0]["held"] > before)
    (letters,) = json.loads(headrace("status", "--json").stdout)["dead_letters"]
    assert letters["source"] == "transactions"
    (newest,) = letters["newest"]
    (problem,) = newest["problems"]
    assert (problem["view"], problem["code"]) == ("", "MALFORMED")
    assert problem["text"].startswith("expected the Confluent wire format")
    shown = headrace("status").stdout
    assert "dead letters that Kafka holds, and the newest of each source" in shown
    assert "expected the Confluent wire format" in shown


def test_a_source_without_dead_letters_has_none(headrace: Headrace, unique: str, tmp_path: Path) -> None:
    folder = str(write(tmp_path / "r", features=text(view())))
    assert headrace("apply", folder, "--workspace", unique).exit_code == ExitCode.OK
    document = json.loads(headrace("status", "--workspace", unique, "--json").stdout)
    assert [(each["held"], each["newest"]) for each in document["dead_letters"]] == [(0, [])]
    assert "dead letters" not in headrace("status", "--workspace", unique).stdout


def test_a_workspace_without_definitions_is_told(headrace: Headrace) -> None:
    done = headrace("status", "--workspace", "empty")
    assert done.exit_code == ExitCode.OK
    assert "workspace empty: nothing applied yet" in done.stdout
    assert json.loads(headrace("status", "--workspace", "empty", "--json").stdout)["plan"] is None


def test_a_server_that_is_away_is_told_and_counts(headrace: Headrace) -> None:
    done = headrace("status", "--serving-port", "1")
    assert done.exit_code == ExitCode.UNAVAILABLE
    assert "does not answer" in done.stdout


def test_a_data_folder_that_no_processor_has_used_is_told_and_counts(headrace: Headrace, tmp_path: Path) -> None:
    done = headrace("status", "--data", str(tmp_path))
    assert done.exit_code == ExitCode.UNAVAILABLE
    assert "installation: none yet in" in done.stdout
    assert "processors: 0 running; nothing is computed" in done.stdout
    assert json.loads(headrace("status", "--data", str(tmp_path), "--json").stdout)["installation"] is None
    assert list(tmp_path.iterdir()) == []


def test_the_processors_of_the_named_installation_are_counted(headrace: Headrace, system: System) -> None:
    own = (system.data / "installation").read_text().strip()
    assert f"installation: {own}" in headrace("status").stdout
    document = json.loads(headrace("status", "--installation", f"{own}-other", "--json").stdout)
    assert (document["installation"], document["processors"]) == (f"{own}-other", 0)
