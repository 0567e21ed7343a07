"""One source and one tiled view: ten aggregates over four windows, with tiles of ten minutes."""

from datetime import timedelta
from typing import Any

from headrace import (
    Aggregate,
    Entity,
    FeatureService,
    Field,
    Float64,
    Int64,
    StreamSource,
    String,
    Timestamp,
    stream_feature_view,
)

HOUR = timedelta(hours=1)
SIX_HOURS = timedelta(hours=6)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)
MONTH = timedelta(days=35)

clicks = StreamSource(
    name="clicks",
    schema=[
        Field("user_id", String),
        Field("timestamp", Timestamp),
        Field("amount", Float64),
        Field("quantity", Int64),
        Field("merchant", String),
        Field("note", String),
    ],
    timestamp_field="timestamp",
)

user = Entity(name="user", join_keys=[Field("user_id", String)])


@stream_feature_view(
    source=clicks,
    entities=[user],
    timestamp_field="timestamp",
    aggregation_interval=timedelta(minutes=10),
    grace=MONTH,  # so that events of a whole month count, though all of them arrive now
    features=[
        Aggregate("count", "amount", HOUR),
        Aggregate("count", "amount", SIX_HOURS),
        Aggregate("sum", "amount", DAY),
        Aggregate("sum", "amount", WEEK),
        Aggregate("mean", "amount", HOUR),
        Aggregate("mean", "amount", WEEK),
        Aggregate("min", "amount", SIX_HOURS),
        Aggregate("max", "amount", DAY),
        Aggregate("sum", "quantity", WEEK),
        Aggregate("last", "merchant", DAY, n=3),
    ],
)
def user_clicks(record: dict[str, Any]) -> dict[str, Any]:
    """Every click counts."""
    return record


user_features = FeatureService(name="user_features", features=[user_clicks])
