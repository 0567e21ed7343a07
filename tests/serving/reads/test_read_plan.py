import msgspec
import pytest

from schemas.errors import RequestError
from schemas.types import Field, Int64, String
from serving.reads.read_plan import LeadingEdge
from tests.serving.memory_partition import Partitions, users_of_partition
from tests.serving.world import HOUR, MINUTE, NOON, TEN_MINUTES, read_plan_of, service_text, view_text

SUMS = (
    TEN_MINUTES
    + 'features=[Aggregate("sum", "clicks", timedelta(hours=1)), Aggregate("count", "clicks", timedelta(days=1))]'
)
CONTINUOUS = 'features=[Aggregate("sum", "clicks", timedelta(hours=1))]'
HERE, THERE = users_of_partition(0, 1)[0], users_of_partition(1, 1)[0]


def test_views_are_in_the_order_of_their_names_and_features_in_that_of_theirs() -> None:
    text = (
        view_text("a1", SUMS) + view_text("a", "") + view_text("B", SUMS) + service_text("s", "a1_V1", "a_V1", "B_V1")
    )

    names = [name for name, _ in read_plan_of(text, "s").features()]

    assert names == [
        "B.clicks_count_1d_10m",
        "B.clicks_sum_1h_10m",
        "a.ad_id",
        "a.amount",
        "a.clicks",
        "a.seen",
        "a.site",
        "a1.clicks_count_1d_10m",
        "a1.clicks_sum_1h_10m",
    ]


def test_join_keys_are_the_union_of_those_of_the_views() -> None:
    views = view_text("by_user", SUMS) + view_text("by_ad", SUMS, "ad") + view_text("by_both", SUMS, "ad, user")

    plan = read_plan_of(views + service_text("s", "by_user_V1", "by_ad_V1", "by_both_V1"), "s")

    assert plan.join_keys == (Field("ad_id", Int64), Field("user_id", String))
    assert [read.view.join_keys for read in plan.views] == [("ad_id",), ("ad_id", "user_id"), ("user_id",)]
    assert [plan.keys[read.key] for read in plan.views] == [(0,), (0, 1), (1,)]


def test_each_view_is_read_by_its_own_keys_from_its_own_partition() -> None:
    views = view_text("by_user", CONTINUOUS) + view_text("by_both", CONTINUOUS, "user, ad")
    plan = read_plan_of(views + service_text("s", "by_user_V1", "by_both_V1"), "s")
    both, by_user = (read.view for read in plan.views)
    partitions = Partitions()
    partitions.write(by_user, {"user_id": HERE, "at": NOON, "clicks": 1})
    partitions.write(both, {"user_id": HERE, "ad_id": 7, "at": NOON, "clicks": 2})
    partitions.write(both, {"user_id": HERE, "ad_id": 8, "at": NOON, "clicks": 4})

    answers = plan.read(partitions.open, [8, HERE], NOON, LeadingEdge.WALL_CLOCK)

    assert [answer.values.values for answer in answers] == [[4], [1]]


def test_every_partition_is_opened_once_and_before_the_first_read() -> None:
    views = "".join(view_text(name, CONTINUOUS) for name in ("a", "b", "c"))
    plan = read_plan_of(views + service_text("s", "a_V1", "b_V1", "c_V1"), "s")
    partitions = Partitions()

    plan.read(partitions.open, [HERE], NOON, LeadingEdge.WALL_CLOCK)
    plan.read(partitions.open, [THERE], NOON, LeadingEdge.LATEST_EVENT)

    assert partitions.opened == [0, 0, 1]


def test_the_latest_event_of_any_partition_is_the_edge_of_windows() -> None:
    plan = read_plan_of(view_text("a", CONTINUOUS) + service_text("s", "a_V1"), "s")
    view = plan.views[0].view
    partitions = Partitions()
    partitions.write(view, {"user_id": HERE, "at": NOON - 3 * HOUR, "clicks": 1})
    partitions.write(view, {"user_id": HERE, "at": NOON - 2 * HOUR, "clicks": 2})
    partitions.write(view, {"user_id": THERE, "at": NOON - HOUR - 1, "clicks": 4})

    at_event = plan.read(partitions.open, [HERE], NOON, LeadingEdge.LATEST_EVENT)
    at_clock = plan.read(partitions.open, [HERE], NOON, LeadingEdge.WALL_CLOCK)

    assert at_event[0].values.values == [2]
    assert at_event[0].values.effective_time == NOON - HOUR - 1
    assert at_event[0].watermark == NOON - 2 * HOUR
    assert at_clock[0].values.values == [None]
    assert at_clock[0].values.effective_time == NOON


def test_what_lies_under_the_id_of_a_view_that_was_not_taken_up_is_never_served() -> None:
    text = view_text("a", CONTINUOUS) + view_text("b", "") + service_text("s", "a_V1", "b_V1")
    plan, partitions = read_plan_of(text, "s"), Partitions()
    for read in plan.views:
        other = msgspec.structs.replace(read.view, grace=read.view.grace + 1)  # another view, of the same id
        partitions.write(other, {"user_id": HERE, "at": NOON, "clicks": 1})

    for edge in LeadingEdge:
        for read, answer in zip(plan.views, plan.read(partitions.open, [HERE], NOON, edge), strict=True):
            assert answer == (read.reader.nothing, None, ())

    for read in plan.views:
        partitions.write(read.view, {"user_id": HERE, "at": NOON, "clicks": 2})

    for edge in LeadingEdge:
        assert plan.read(partitions.open, [HERE], NOON, edge)[0].values.values == [2]


def test_windows_never_end_after_the_clock_however_far_ahead_the_latest_event_is() -> None:
    plan = read_plan_of(view_text("a", CONTINUOUS) + service_text("s", "a_V1"), "s")
    partitions = Partitions()
    partitions.write(plan.views[0].view, {"user_id": HERE, "at": NOON - MINUTE, "clicks": 1})
    partitions.write(plan.views[0].view, {"user_id": HERE, "at": NOON + 2 * HOUR, "clicks": 2})

    answers = plan.read(partitions.open, [HERE], NOON, LeadingEdge.LATEST_EVENT)

    assert (answers[0].values.values, answers[0].values.effective_time) == ([1], NOON)


def test_an_event_later_than_its_own_log_time_does_not_move_the_edge() -> None:
    plan = read_plan_of(view_text("a", CONTINUOUS) + service_text("s", "a_V1"), "s")
    partitions = Partitions()
    early = {"user_id": HERE, "at": NOON - HOUR, "clicks": 1}
    future = {"user_id": HERE, "at": NOON + HOUR, "logged": NOON, "clicks": 2}
    partitions.write(plan.views[0].view, early, future)

    answers = plan.read(partitions.open, [HERE], NOON, LeadingEdge.LATEST_EVENT)

    assert (answers[0].values.values, answers[0].values.effective_time) == ([1], NOON - HOUR)


def test_a_view_without_events_has_no_latest_event_and_nothing_to_serve() -> None:
    plan = read_plan_of(view_text("a", SUMS) + service_text("s", "a_V1"), "s")

    answers = plan.read(Partitions().open, [HERE], NOON, LeadingEdge.LATEST_EVENT)

    assert list(answers[0].values.values) == [None, None]
    assert answers[0].values.effective_time is None
    assert answers[0].watermark is None


def test_a_view_whose_only_event_is_ahead_of_its_log_time_has_no_latest_event() -> None:
    plan = read_plan_of(view_text("a", CONTINUOUS) + service_text("s", "a_V1"), "s")
    partitions = Partitions()
    partitions.write(plan.views[0].view, {"user_id": HERE, "at": NOON, "logged": NOON - MINUTE, "clicks": 1})

    (answer,) = plan.read(partitions.open, [HERE], NOON, LeadingEdge.LATEST_EVENT)

    assert (list(answer.values.values), answer.values.effective_time) == ([None], None)


def test_attributes_follow_the_clock_whatever_the_edge_of_windows() -> None:
    text = view_text("a", CONTINUOUS) + view_text(
        "b", 'schema=[Field("user_id", String), Field("at", Timestamp), Field("clicks", Int64)]'
    )
    plan = read_plan_of(text + service_text("s", "a_V1", "b_V1"), "s")
    partitions = Partitions()
    attributes = plan.views[1].view
    partitions.write(attributes, {"user_id": HERE, "at": NOON - MINUTE, "clicks": 1})
    partitions.write(attributes, {"user_id": HERE, "at": NOON, "logged": NOON - HOUR, "clicks": 2})

    for edge in LeadingEdge:
        assert plan.read(partitions.open, [HERE], NOON - 1, edge)[1].values.values == [1]
        assert plan.read(partitions.open, [HERE], NOON, edge)[1].values.values == [2]


def test_join_keys_too_long_for_any_row_are_refused_by_name_before_anything_is_opened() -> None:
    views = view_text("by_user", CONTINUOUS) + view_text("by_both", CONTINUOUS, "user, ad")
    plan = read_plan_of(views + service_text("s", "by_user_V1", "by_both_V1"), "s")
    partitions = Partitions()

    with pytest.raises(RequestError) as failure:
        plan.read(partitions.open, [8, "x" * 2000], NOON, LeadingEdge.LATEST_EVENT)

    told = "Join key user_id is too long: the join keys of a view have at most 1024 bytes, these have 2012"
    assert failure.value.message == told
    assert partitions.opened == []
