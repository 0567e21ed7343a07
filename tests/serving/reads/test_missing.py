"""Why features have no value (rule TF-24)."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.instants import instant_text
from serving.reads.missing import Missing, Reason
from serving.reads.read_plan import LeadingEdge, ReadPlan
from tests.serving.memory_partition import Partitions
from tests.serving.world import DAY, HOUR, MINUTE, NOON, TEN_MINUTES, read_plan_of, service_text, view_text

USER = "u"
HOURLY = 'features=[Aggregate("sum", "clicks", timedelta(hours=1), name="n")]'
SHIFTED = 'features=[Aggregate("sum", "clicks", timedelta(hours=1), offset=timedelta(hours=2), name="n")]'
NULL = None


def plan_of(options: str) -> ReadPlan:
    return read_plan_of(view_text("v", options) + service_text("s", "v_V1"), "s")


CONTINUOUS, TILED, OFFSET = plan_of(HOURLY), plan_of(TEN_MINUTES + HOURLY), plan_of(SHIFTED)


def event(at: int, clicks: int | None = 1, **more: Any) -> dict[str, Any]:
    return {"user_id": USER, "at": at, "clicks": clicks, "logged": NOON, **more}


def missing(
    plan: ReadPlan,
    *events: dict[str, Any],
    now: int = NOON,
    edge: LeadingEdge = LeadingEdge.WALL_CLOCK,
    user: str = USER,
) -> Sequence[Missing | None]:
    partitions = Partitions()
    partitions.write(plan.views[0].view, *events)
    (answer,) = plan.read(partitions.open, [user], now, edge, is_explained=True)
    assert len(answer.missing) == len(answer.values.values)
    assert [value is None for value in answer.values.values] == [why is not None for why in answer.missing]
    return answer.missing


def only(found: Sequence[Missing | None]) -> Missing:
    (why,) = found
    assert why is not None
    return why


@pytest.mark.parametrize(
    ("plan", "events", "expected"),
    [
        pytest.param(
            CONTINUOUS,
            [event(NOON - 2 * HOUR), event(NOON - 3 * HOUR)],
            (
                Reason.OUTSIDE_WINDOW,
                (
                    "the newest event, of 2023-05-04T14:00:00Z, is older than the window, "
                    "the 1h up to 2023-05-04T16:00:00Z"
                ),
                NOON - 2 * HOUR,
            ),
            id="older",
        ),
        pytest.param(
            CONTINUOUS,
            [event(NOON - 2 * MINUTE, NULL), event(NOON - MINUTE, NULL)],
            (
                Reason.NULL,
                "clicks is null in each event of the window, the newest of 2023-05-04T15:59:00Z",
                NOON - MINUTE,
            ),
            id="null",
        ),
        pytest.param(
            CONTINUOUS,
            [event(NOON + 1), event(NOON + DAY)],
            (Reason.FUTURE, "the first event, of 2023-05-04T16:00:00.000001Z, is still to come", NOON + 1),
            id="future",
        ),
        pytest.param(
            CONTINUOUS,
            [],
            (
                Reason.NO_EVENTS,
                "there is no event of these join keys among those of the last 7d1h5m, which the view keeps",
                None,
            ),
            id="none",
        ),
        pytest.param(
            TILED,
            [event(NOON + MINUTE)],
            (
                Reason.PAST_THE_WINDOW,
                (
                    "the window ends at 2023-05-04T16:00:00Z, before the next event, of 2023-05-04T16:01:00Z; "
                    "it moves on every 10m"
                ),
                NOON + MINUTE,
            ),
            id="tile",
        ),
        pytest.param(
            OFFSET,
            [event(NOON)],
            (
                Reason.PAST_THE_WINDOW,
                "the window ends at 2023-05-04T14:02:00Z, before the next event, of 2023-05-04T16:00:00Z",
                NOON,
            ),
            id="offset",
        ),
    ],
)
def test_an_aggregate_says_why(plan: ReadPlan, events: list[dict[str, Any]], expected: tuple[Any, ...]) -> None:
    now = NOON if plan is CONTINUOUS else NOON + 2 * MINUTE
    assert only(missing(plan, *events, now=now)) == expected


ATTRIBUTES = plan_of('ttl=timedelta(hours=2), schema=[Field("clicks", Int64)]')


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param(
            [event(NOON - 2 * HOUR)],
            (Reason.EXPIRED, "the newest event, of 2023-05-04T14:00:00Z, is older than the ttl of 2h", NOON - 2 * HOUR),
            id="expired",
        ),
        pytest.param(
            [event(NOON - HOUR), event(NOON, NULL)],
            (Reason.NULL, "clicks is null in the newest event, of 2023-05-04T16:00:00Z", NOON),
            id="null",
        ),
        pytest.param(
            [event(NOON + DAY)],
            (Reason.FUTURE, "the first event, of 2023-05-05T16:00:00Z, is still to come", NOON + DAY),
            id="future",
        ),
        pytest.param([], (Reason.NO_EVENTS, "there is no event of these join keys", None), id="none"),
    ],
)
def test_an_attribute_view_says_why(events: list[dict[str, Any]], expected: tuple[Any, ...]) -> None:
    assert only(missing(ATTRIBUTES, *events)) == expected


IDENTIFIED = """
orders = StreamSource(name="orders", timestamp_field="at", identity=["order"], schema=[
    Field("user_id", String), Field("order", String), Field("at", Timestamp), Field("clicks", Int64, required=False)])

@stream_feature_view(name="v", source=orders, entities=[user], version="V1", timestamp_field="at", {options})
def v(record):
    return record

s = FeatureService(name="s", features=[v])
"""


@pytest.mark.parametrize(
    ("options", "reason"),
    [(HOURLY, Reason.OUTSIDE_WINDOW), ('ttl=timedelta(hours=1), schema=[Field("clicks", Int64)]', Reason.EXPIRED)],
)
def test_the_time_of_an_event_is_found_before_its_identity(options: str, reason: Reason) -> None:
    plan = read_plan_of(IDENTIFIED.format(options=options), "s")
    at = NOON - 2 * HOUR
    why = only(missing(plan, event(at, order="a long name"), event(at, order="b")))
    assert (why.reason, why.event_time) == (reason, at)


def test_another_keys_events_are_not_its_own() -> None:
    assert only(missing(CONTINUOUS, event(NOON), user="x")).reason is Reason.NO_EVENTS


def test_a_sum_that_does_not_fit_says_so() -> None:
    large = [event(NOON - number, 2**63 - 1) for number in range(2)]
    assert only(missing(CONTINUOUS, *large)) == (
        Reason.OUT_OF_RANGE,
        "the sum of the window does not fit in 64 bits",
        None,
    )


def test_a_view_that_was_not_taken_up_says_so() -> None:
    (answer,) = CONTINUOUS.read(Partitions().open, [USER], NOON, LeadingEdge.WALL_CLOCK, is_explained=True)
    assert [why.reason for why in answer.missing if why] == [Reason.NOT_TAKEN_UP]


def test_a_view_without_any_event_says_so_at_the_latest_event_too() -> None:
    assert only(missing(CONTINUOUS, edge=LeadingEdge.LATEST_EVENT)).reason is Reason.NO_EVENTS


def test_who_does_not_ask_is_told_nothing() -> None:
    partitions = Partitions()
    for is_taken_up in (False, True):
        if is_taken_up:
            partitions.write(CONTINUOUS.views[0].view, event(NOON - 2 * HOUR))
        (answer,) = CONTINUOUS.read(partitions.open, [USER], NOON, LeadingEdge.WALL_CLOCK)
        assert (list(answer.values.values), answer.missing) == ([None], ())


TIMES = st.integers(-3 * HOUR // MINUTE, HOUR // MINUTE).map(lambda minutes: NOON + minutes * MINUTE)


@given(
    st.dictionaries(TIMES, st.none() | st.integers(0, 3), max_size=5),
    st.sampled_from([(CONTINUOUS, 0, 1), (TILED, 10 * MINUTE, 0)]),
    st.integers(0, 9),
)
def test_each_reason_is_that_of_the_events_themselves(
    values: dict[int, int | None], view: tuple[ReadPlan, int, int], minutes: int
) -> None:
    plan, interval, past = view
    now = NOON + minutes * MINUTE
    (why,) = missing(plan, *[event(at, clicks) for at, clicks in values.items()], now=now)
    end = (now - now % interval if interval else now) + past
    inside = [clicks for at, clicks in values.items() if end - HOUR <= at < end]
    if any(clicks is not None for clicks in inside):
        expected = None
    elif inside:
        expected = Reason.NULL
    elif any(end <= at <= now for at in values):
        expected = Reason.PAST_THE_WINDOW
    elif any(at < end for at in values):
        expected = Reason.OUTSIDE_WINDOW
    else:
        expected = Reason.FUTURE if values else Reason.NO_EVENTS
    assert (None if why is None else why.reason) == expected
    if why is not None and why.event_time is not None:
        assert why.event_time in values
        assert instant_text(why.event_time) in why.message
