from collections import Counter

from bench.core import compiled_plan
from bench.events import EVENT_BYTES, SOURCE, clicks, records
from schemas.avro import parse, unframe

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
