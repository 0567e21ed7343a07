import pytest

from headrace.inspection.description import named, service_document, source_document, view_document
from schemas.definitions.changes import retire
from schemas.definitions.plan import Plan
from schemas.errors import NotFoundError
from tests.support.repositories import plan_of, view

LAST = (
    ', features=[Aggregate("sum", "x", hour, offset=hour), Aggregate("last", "x", 2 * hour, n=3, name="newest")]'
    ", aggregation_interval=hour"
)
SERVICE = '\nservice = FeatureService(name="scores", features=[totals, lasts])\n'
PLAN = plan_of(view() + view("lasts", LAST) + view("attributes", ', schema=[Field("x", Float64)], ttl=hour') + SERVICE)


def test_a_view_is_found_by_its_name_and_with_its_version() -> None:
    for name in ("totals", "totals@V1"):
        found = named(PLAN, name)
        assert [each.key for each in found.views] == ["totals@V1"]
        assert (found.sources, found.services) == ([], [])


def test_what_is_of_several_kinds_is_found_as_all_of_them() -> None:
    text = view("events") + '\nservice = FeatureService(name="events", features=[events])\n'
    found = named(plan_of(text), "events")
    assert (len(found.sources), len(found.views), len(found.services)) == (1, 1, 1)


def test_an_unknown_name_is_told_with_one_like_it_or_all_there_are() -> None:
    with pytest.raises(NotFoundError, match=r"^workspace prod has nothing named 'total'; did you mean totals\?$"):
        named(PLAN, "total")
    with pytest.raises(NotFoundError, match=r"known are: sources events; views attributes@V1, .*; services scores$"):
        named(PLAN, "zzz")
    with pytest.raises(NotFoundError, match="nothing is defined in it"):
        named(Plan("prod", 4, {}, {}, {}, {}, ""), "zzz")


def test_a_source_is_described() -> None:
    found = source_document(PLAN, PLAN.sources["events"])
    assert found["columns"] == [
        {"name": "user", "type": "string", "required": True},
        {"name": "x", "type": "float64", "required": False},
        {"name": "tags", "type": "array(string)", "required": False},
        {"name": "at", "type": "timestamp", "required": True},
    ]
    assert (found["topic"], found["dead_letter_topic"]) == ("prod.source.events", "prod.dead-letter.events")
    assert (found["timestamp_field"], found["is_retired"]) == ("at", False)
    assert found["views"] == ["attributes@V1", "lasts@V1", "totals@V1"]
    assert found["definition"]["text"].startswith('source = StreamSource(name="events"')


def test_a_view_is_described_with_its_features_and_lengths_in_seconds() -> None:
    found = view_document(PLAN, PLAN.views["lasts@V1"])
    assert found["features"] == [
        {
            "name": "newest",
            "type": "array(float64)",
            "function": "last",
            "parameters": {"n": 3},
            "column": "x",
            "window_seconds": 7_200,
            "offset_seconds": 0,
        },
        {
            "name": PLAN.views["lasts@V1"].features[1].name,
            "type": "float64",
            "function": "sum",
            "parameters": {},
            "column": "x",
            "window_seconds": 3_600,
            "offset_seconds": 3_600,
        },
    ]
    assert (found["kind"], found["aggregation_interval_seconds"]) == ("tiled", 3_600)
    assert found["join_keys"] == [{"name": "user", "type": "string", "required": True}]
    assert (found["source"], found["topic"], found["services"]) == ("events", "prod.source.events", ["scores"])
    assert found["horizon_seconds"] > found["grace_seconds"] == 7 * 86_400
    assert "def lasts(record):" in found["definition"]["text"]


def test_an_attribute_view_has_neither_windows_nor_horizon() -> None:
    found = view_document(PLAN, PLAN.views["attributes@V1"])
    (feature,) = found["features"]
    assert (feature["function"], feature["window_seconds"], feature["offset_seconds"]) == (None, None, None)
    assert (found["horizon_seconds"], found["ttl_seconds"], found["aggregation_interval_seconds"]) == (
        None,
        3_600,
        None,
    )


def test_a_retired_view_is_described_from_the_texts_that_it_runs_from() -> None:
    smaller = retire(PLAN, plan_of(view()), 60.0)
    (lasts,) = named(smaller, "lasts").views
    found = view_document(smaller, lasts)
    assert (found["is_retired"], found["services"]) == (True, [])
    assert "def lasts(record):" in found["definition"]["text"]


def test_a_service_is_described_as_it_is_read() -> None:
    found = service_document(PLAN, PLAN.services["scores"])
    assert found["join_keys"] == [{"name": "user", "type": "string", "required": True}]
    assert [(each["name"].partition(".")[0], each["view"]) for each in found["features"]] == [
        ("lasts", "lasts@V1"),
        ("lasts", "lasts@V1"),
        ("totals", "totals@V1"),
    ]
    assert found["views"] == ["lasts@V1", "totals@V1"]
    assert found["definition"]["text"].startswith("service = FeatureService(")


def test_what_no_text_names_has_no_definition() -> None:
    text = view("made", ', name="to" + "tals", features=[Aggregate("sum", "x", hour)]')
    plan = plan_of(text)
    assert view_document(plan, plan.views["totals@V1"])["definition"] is None
