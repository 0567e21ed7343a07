from collections import Counter

from bench.core import compiled_plan
from bench.events import (
    EVENT_BYTES,
    HOT_USERS,
    MONTH_MICROS,
    SOURCE,
    clicks,
    month_of_clicks,
    month_of_records,
    records,
)
from schemas.avro.schema import parse
from schemas.avro.wire import unframe

COUNT = 500


def test_events_have_the_promised_size_and_decode() -> None:
    plan = compiled_plan()
    schema = parse(plan.sources[SOURCE].schema)
    for event in clicks(plan, COUNT, range(COUNT)):
        assert len(event.value) == EVENT_BYTES
        assert unframe(event.value, schema, None)["user_id"].encode() == event.key


def test_events_are_the_same_each_time() -> None:
    plan = compiled_plan()
    assert list(clicks(plan, COUNT, range(COUNT))) == list(clicks(plan, COUNT, range(COUNT)))


def test_the_first_user_is_the_most_frequent() -> None:
    seen = Counter(record["user_id"] for record in records(COUNT, range(COUNT), users=100))
    assert seen.most_common(1)[0][0] == "user-00000000"


def test_a_month_has_late_resent_and_corrected_events_and_hot_users() -> None:
    count, now = 20_000, 1_760_000_000_000_000
    sent = list(month_of_records(count, now))
    times = [record["timestamp"].timestamp() for record in sent]
    spread = max(times) - min(times)
    assert spread + 1 >= MONTH_MICROS / 1e6
    newest, late = times[0], 0
    for time in times:
        late += time < newest - 600  # further behind than events that are merely sent again
        newest = max(newest, time)
    assert 0.03 < late / count < 0.09
    values = Counter((record["user_id"], record["timestamp"], record["amount"]) for record in sent)
    identities = {(user, time) for user, time, _ in values}
    assert 0.01 < (count - len(values)) / count < 0.03  # sent again as they were
    assert 0.005 < (len(values) - len(identities)) / count < 0.015  # corrected
    hot = sum(record["user_id"] < f"user-{HOT_USERS:08d}" for record in sent)
    assert 0.45 < hot / count < 0.55


def test_a_month_counts_its_identities_and_keeps_the_size() -> None:
    plan = compiled_plan()
    sent, identities = month_of_clicks(plan, COUNT, 1_760_000_000_000_000)
    assert len(sent) == COUNT
    assert {len(event.value) for event in sent} == {EVENT_BYTES}
    schema = parse(plan.sources[SOURCE].schema)
    decoded = [unframe(event.value, schema, None) for event in sent]
    assert identities == len({(record["user_id"], record["timestamp"]) for record in decoded}) < COUNT
