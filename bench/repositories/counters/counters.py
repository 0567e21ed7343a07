"""Views without tiles' delay: an attribute view and continuous windows show a write as soon as it is acknowledged."""

from datetime import timedelta
from typing import Any

from headrace import (
    Aggregate,
    Entity,
    FeatureService,
    Field,
    Int64,
    StreamSource,
    String,
    Timestamp,
    stream_feature_view,
)

HOUR = timedelta(hours=1)

readings = StreamSource(
    name="readings",
    schema=[Field("counter", String), Field("timestamp", Timestamp), Field("number", Int64)],
    timestamp_field="timestamp",
)

counter = Entity(name="counter", join_keys=[Field("counter", String)])


@stream_feature_view(source=readings, entities=[counter], timestamp_field="timestamp")
def newest(record: dict[str, Any]) -> dict[str, Any]:
    """The newest number."""
    return record


@stream_feature_view(
    source=readings,
    entities=[counter],
    timestamp_field="timestamp",
    features=[Aggregate("count", "number", HOUR), Aggregate("max", "number", HOUR), Aggregate("last", "number", HOUR)],
)
def numbers(record: dict[str, Any]) -> dict[str, Any]:
    """The same number by windows."""
    return record


latest = FeatureService(name="latest", features=[newest, numbers])
