import msgspec

from headrace.inspection import listing
from schemas.definitions.changes import retire
from schemas.definitions.plan import Plan
from tests.support.repositories import plan_of, view

TILED = view("tiled", ', features=[Aggregate("sum", "x", hour)], aggregation_interval=hour')
ATTRIBUTES = view("attributes", ', schema=[Field("x", Float64)]')
SERVICE = '\nservice = FeatureService(name="scores", features=[tiled, totals])\n'

PLAN = plan_of(TILED + view() + ATTRIBUTES + SERVICE)
EMPTY = Plan("prod", 4, {}, {}, {}, {}, "")


def test_a_source_tells_its_topic_and_what_it_feeds() -> None:
    assert listing.sources(PLAN) == [
        {
            "name": "events",
            "topic": "prod.source.events",
            "partitions": 4,
            "schema_id": PLAN.sources["events"].schema_id,
            "timestamp_field": "at",
            "views": ["attributes@V1", "tiled@V1", "totals@V1"],
        }
    ]


def test_a_view_tells_how_it_computes_and_where_it_is_served() -> None:
    found = {each["name"]: each for each in listing.views(PLAN)}
    assert {name: (each["kind"], each["services"]) for name, each in found.items()} == {
        "attributes": ("attribute", []),
        "tiled": ("tiled", ["scores"]),
        "totals": ("continuous", ["scores"]),
    }
    assert found["tiled"] == {
        "name": "tiled",
        "version": "V1",
        "kind": "tiled",
        "source": "events",
        "join_keys": ["user"],
        "features": 1,
        "services": ["scores"],
        "is_retired": False,
    }


def test_retired_views_come_last_and_are_marked() -> None:
    smaller = retire(PLAN, plan_of(view()), 60.0)
    assert [(each["name"], each["is_retired"]) for each in listing.views(smaller)] == [
        ("totals", False),
        ("attributes", True),
        ("tiled", True),
    ]


def test_a_service_tells_what_it_is_read_with() -> None:
    assert listing.services(PLAN) == [
        {
            "name": "scores",
            "views": ["tiled@V1", "totals@V1"],
            "join_keys": ["user"],
            "features": 2,
            "online_serving_enabled": True,
        }
    ]


def test_a_workspace_tells_its_plan_and_how_much_is_in_it() -> None:
    plans = {"prod": PLAN, "empty": msgspec.structs.replace(EMPTY, workspace="empty", number=7)}
    assert listing.workspaces(plans) == [
        {"name": "empty", "plan": 7, "sources": 0, "views": 0, "retired_views": 0, "services": 0},
        {"name": "prod", "plan": 1, "sources": 1, "views": 3, "retired_views": 0, "services": 1},
    ]


def test_nothing_is_a_list_of_nothing() -> None:
    assert listing.sources(EMPTY) == listing.views(EMPTY) == listing.services(EMPTY) == listing.workspaces({}) == []
