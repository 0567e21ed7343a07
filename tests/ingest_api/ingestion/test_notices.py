from collections.abc import Mapping

import pytest

from ingest_api.ingestion.notices import Notice, notices
from ingest_api.ingestion.sources import Source
from schemas.messages.updates import ROW_OUTCOMES
from tests.support.repositories import WITH_IDENTITY, plan_of, view

PLAN = plan_of(view() + view("hidden", ", online=False"))
SOURCE = Source("prod", PLAN.sources["events"], PLAN.views_of("events"))


def told(became: Mapping[str, int], view_key: str = "totals@V1", without_zone: int = 0) -> list[Notice]:
    return list(notices(SOURCE, {view_key: became}, without_zone))


def test_what_is_as_it_was_meant_is_not_told() -> None:
    assert told({"new": 3, "equal": 2, "dropped": 1, "failed": 1, "unknown": 1}) == []


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("replaced", "an event of the same user and at was there, which together say which event it is"),
        ("superseded", "an event of the same user and at that Kafka took later was there already"),
        ("late", "since at was more than 7d1h5m ago when Kafka took the record"),
        ("future", "in no feature before at"),
        ("offline", "in the offline log alone, since the view has online=False"),
    ],
)
def test_each_kind_says_what_it_means_of_its_view(kind: str, words: str) -> None:
    (notice,) = told({"new": 9, kind: 4})
    assert (notice.view, notice.kind, notice.count) == (PLAN.views["totals@V1"], kind, 4)
    assert words in notice.message


def test_times_without_a_zone_are_told_of_the_source() -> None:
    (notice,) = told({}, without_zone=2)
    assert (notice.view, notice.kind, notice.count) == (None, "without_zone", 2)
    assert notice.message.startswith("taken as UTC, since 'at' names no zone")


def test_every_outcome_that_surprises_has_words() -> None:
    silent = {"new", "equal", "unknown"}
    assert {outcome for outcome in ROW_OUTCOMES if not told({outcome: 1})} == silent


def test_what_was_replaced_names_all_that_says_which_event_it_is_and_what_would_tell_more_apart() -> None:
    plan = plan_of({"views.py": WITH_IDENTITY.format('["order"]') + view()})
    source = Source("prod", plan.sources["events"], plan.views_of("events"))
    (notice,) = notices(source, {"totals@V1": {"replaced": 1}}, 0)
    assert notice.message == (
        "an event of the same user, at and order was there, which together say which event it is; if these are "
        "different events, name what tells them apart in identity=[...] of source 'events', and give the view a new "
        "version"
    )
