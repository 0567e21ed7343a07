"""Features of flights: delays and distances by carrier, by tail number and by origin, and where an aircraft is.

A flight is one record of the source ``flights``; its time is the scheduled departure.
"""

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

Record = dict[str, Any]

TEN_MINUTES = timedelta(minutes=10)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)

flights = StreamSource(
    name="flights",
    schema=[
        Field("scheduled", Timestamp),
        Field("carrier", String),
        Field("flight", Int64),
        Field("tail_number", String, required=False),
        Field("origin", String),
        Field("destination", String),
        Field("departure_delay", Float64, required=False),
        Field("arrival_delay", Float64, required=False),
        Field("distance", Int64),
    ],
    timestamp_field="scheduled",
    log_offline=True,
)

carrier = Entity(name="carrier", join_keys=[Field("carrier", String)])
aircraft = Entity(name="aircraft", join_keys=[Field("tail_number", String)])
airport = Entity(name="airport", join_keys=[Field("origin", String)])


@stream_feature_view(
    source=flights,
    entities=[carrier],
    timestamp_field="scheduled",
    aggregation_interval=TEN_MINUTES,
    features=[
        Aggregate("count", "distance", HOUR),
        Aggregate("count", "distance", DAY),
        Aggregate("mean", "departure_delay", TEN_MINUTES),
        Aggregate("mean", "departure_delay", DAY),
        Aggregate("max", "arrival_delay", DAY),
        Aggregate("min", "arrival_delay", DAY),
        Aggregate("sum", "distance", WEEK),
        Aggregate("mean", "arrival_delay", WEEK),
        Aggregate("last", "destination", DAY, n=5),
    ],
)
def carrier_delays(record: Record) -> Record:
    """Every flight counts for its carrier."""
    return record


@stream_feature_view(
    source=flights,
    entities=[aircraft],
    timestamp_field="scheduled",
    features=[
        Aggregate("count", "distance", DAY),
        Aggregate("sum", "distance", WEEK),
        Aggregate("mean", "departure_delay", DAY),
        Aggregate("max", "departure_delay", WEEK),
        Aggregate("last", "destination", WEEK, n=3),
    ],
)
def aircraft_use(record: Record) -> Record | None:
    """Flights without a tail number belong to no aircraft."""
    return record if record["tail_number"] else None


@stream_feature_view(
    source=flights,
    entities=[airport],
    timestamp_field="scheduled",
    features=[
        Aggregate("count", "distance", TEN_MINUTES),
        Aggregate("count", "distance", HOUR),
        Aggregate("mean", "departure_delay", HOUR),
        Aggregate("min", "departure_delay", DAY),
        Aggregate("max", "distance", DAY),
        Aggregate("mean", "distance", WEEK),
        Aggregate("last", "carrier", HOUR),
    ],
)
def airport_load(record: Record) -> Record:
    """Every flight counts for the airport that it leaves."""
    return record


@stream_feature_view(
    source=flights,
    entities=[aircraft],
    timestamp_field="scheduled",
    schema=[
        Field("tail_number", String),
        Field("scheduled", Timestamp),
        Field("position", String),
        Field("came_from", String),
        Field("carrier", String),
    ],
)
def aircraft_position(record: Record) -> Record | None:
    """Where an aircraft is going on its newest flight."""
    if not record["tail_number"]:
        return None
    return {
        "tail_number": record["tail_number"],
        "scheduled": record["scheduled"],
        "position": record["destination"],
        "came_from": record["origin"],
        "carrier": record["carrier"],
    }


departures = FeatureService(name="departures", features=[carrier_delays, aircraft_use, airport_load, aircraft_position])
