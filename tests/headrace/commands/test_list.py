import json

from infra.process.exit_codes import ExitCode
from tests.headrace.commands.conftest import Headrace


def test_sources_are_listed_with_topic_and_views(headrace: Headrace) -> None:
    done = headrace("list", "sources")
    assert done.exit_code == ExitCode.OK, done.output
    heads, row = [line.split() for line in done.stdout.splitlines()]
    assert heads == ["name", "topic", "partitions", "schema", "id", "timestamp", "field", "views"]
    assert row[:3] == ["transactions", "prod.source.transactions", "4"]
    assert row[-2:] == ["user_activity@V1,", "user_amounts@V1"]


def test_views_are_listed_with_kind_and_services(headrace: Headrace) -> None:
    document = json.loads(headrace("list", "views", "--json").stdout)
    assert document["workspace"] == "prod"
    assert document["plan"] >= 0
    found = {each["name"]: (each["kind"], each["services"], each["is_retired"]) for each in document["views"]}
    assert found == {
        "user_activity": ("continuous", ["fraud_detection"], False),
        "user_amounts": ("tiled", ["fraud_detection"], False),
    }
    assert "user_amounts" in headrace("list", "views").stdout


def test_services_are_listed(headrace: Headrace) -> None:
    (service,) = json.loads(headrace("list", "services", "--json").stdout)["services"]
    assert (service["name"], service["join_keys"], service["features"]) == ("fraud_detection", ["user_id"], 4)


def test_workspaces_are_listed_whichever_one_is_worked_in(headrace: Headrace) -> None:
    document = json.loads(headrace("list", "workspaces", "--json", "--workspace", "empty").stdout)
    assert "prod" in {each["name"] for each in document["workspaces"]}


def test_a_workspace_without_definitions_is_told_with_those_that_have_some(headrace: Headrace) -> None:
    done = headrace("list", "views", "--workspace", "empty")
    assert (done.exit_code, done.stdout) == (ExitCode.OK, "")
    assert "workspace empty: nothing applied yet" in done.stderr
    assert "prod" in done.stderr
    document = json.loads(headrace("list", "views", "--workspace", "empty", "--json").stdout)
    assert document == {"workspace": "empty", "plan": None, "views": []}


def test_what_cannot_be_listed_is_wrong_usage(headrace: Headrace) -> None:
    done = headrace("list", "topics")
    assert done.exit_code == ExitCode.USAGE
    assert "'sources', 'views', 'services', 'workspaces'" in done.stderr
