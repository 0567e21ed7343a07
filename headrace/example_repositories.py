"""Feature repositories that ``headrace init`` writes: one for each kind of view, with events that show what it does.

Invariant: each compiles, alone and in a folder of a repository that has the others; its events are accepted; and reads
within ten minutes of them have the values that ``docs/how-to`` shows (tiles of an hour: unless the hour is over).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

DAY_MINUTES: Final = 24 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleRepository:
    """A repository with one source and one service.

    Attributes:
        name: by which it is asked for.
        summary: what it shows, after its name in the help.
        definitions: text of its module.
        source: the name of its source.
        events: how many minutes before now each was, and its other fields.
        service: the name of its service.
        join_keys: of a read that shows something.
    """

    name: str
    summary: str
    definitions: str
    source: str
    events: Sequence[tuple[int, Mapping[str, Any]]]
    service: str
    join_keys: Mapping[str, str]

    def records(self, now: datetime) -> list[dict[str, Any]]:
        """Returns the events with their event times, as a producer sends them."""
        return [{**fields, "timestamp": now - timedelta(minutes=minutes)} for minutes, fields in self.events]

    def lines(self, now: datetime) -> bytes:
        """Returns the events as a file for ``headrace ingest``: a JSON object a line."""
        return b"".join(msgspec.json.encode(record) + b"\n" for record in self.records(now))


TRANSACTIONS: Final = ExampleRepository(
    name="transactions",
    summary="a tiled and a continuous view of payments, read together (the default)",
    source="transactions",
    service="fraud_detection",
    join_keys={"user_id": "u1"},
    events=[
        (50, {"user_id": "u1", "amount": 42.5, "merchant": "books"}),
        (40, {"user_id": "u2", "amount": 9.99}),
        (30, {"user_id": "u1", "amount": 17.5, "merchant": "coffee"}),
        (20, {"user_id": "u1", "amount": -17.5}),
    ],
    definitions='''\
"""How much users spend, and where.

`headrace apply` publishes what is defined here.
"""

from datetime import timedelta

from headrace import (
    Aggregate,
    Entity,
    FeatureService,
    Field,
    Float64,
    StreamSource,
    String,
    Timestamp,
    stream_feature_view,
)

transactions = StreamSource(
    name="transactions",
    schema=[
        Field("user_id", String),
        Field("amount", Float64),
        Field("merchant", String, required=False),
        Field("timestamp", Timestamp),
    ],
    timestamp_field="timestamp",
    log_offline=True,
)
user = Entity(name="user", join_keys=[Field("user_id", String)])


# Tiled windows end at the last complete 10 minutes: cheap to keep, however long the window.
@stream_feature_view(
    source=transactions,
    entities=[user],
    version="V1",
    timestamp_field="timestamp",
    aggregation_interval=timedelta(minutes=10),
    features=[
        Aggregate("mean", "amount", timedelta(hours=1)),
        Aggregate("last", "merchant", timedelta(days=1), n=3, name="merchants"),
    ],
)
def user_amounts(record):
    """Return a dict, a list of dicts, or None to drop the event."""
    return record


# Continuous windows end now: an event counts as soon as it is acknowledged.
@stream_feature_view(
    source=transactions,
    entities=[user],
    version="V1",
    timestamp_field="timestamp",
    features=[
        Aggregate("count", "amount", timedelta(hours=1), name="payments"),
        Aggregate("sum", "amount", timedelta(hours=1), name="spent"),
    ],
)
def user_activity(record):
    """Refunds are no payments."""
    return record if record["amount"] > 0 else None


fraud = FeatureService(name="fraud_detection", features=[user_amounts, user_activity])
''',
)

PROFILES: Final = ExampleRepository(
    name="profiles",
    summary="an attribute view: the newest row of each member, column by column, with a ttl",
    source="profile_changes",
    service="members",
    join_keys={"member_id": "m1"},
    events=[
        (3 * DAY_MINUTES, {"member_id": "m1", "plan": "free", "country": "DE"}),
        (2 * DAY_MINUTES, {"member_id": "m2", "plan": "free", "country": "FR"}),
        (20, {"member_id": "m1", "plan": "pro"}),
        (100 * DAY_MINUTES, {"member_id": "m3", "plan": "free", "country": "IT"}),
    ],
    definitions='''\
"""What is known of members: their newest profile.

`headrace apply` publishes what is defined here.
"""

from datetime import timedelta

from headrace import Aggregate, Entity, FeatureService, Field, StreamSource, String, Timestamp, stream_feature_view

profile_changes = StreamSource(
    name="profile_changes",
    schema=[
        Field("member_id", String),
        Field("plan", String),
        Field("country", String, required=False),
        Field("timestamp", Timestamp),
    ],
    timestamp_field="timestamp",
)
member = Entity(name="member", join_keys=[Field("member_id", String)])


# No features: an attribute view. It serves the columns of its schema, from the newest row of each member; a row that is
# older than the ttl is served no longer.
@stream_feature_view(
    source=profile_changes,
    entities=[member],
    version="V1",
    timestamp_field="timestamp",
    schema=[Field("plan", String), Field("country", String, required=False)],
    ttl=timedelta(days=90),
)
def profile(record):
    """A column that the newest row lacks is null, whatever rows before it had."""
    return record


# Nulls do not count in an aggregate: the newest value that there was, from whichever row.
@stream_feature_view(
    source=profile_changes,
    entities=[member],
    version="V1",
    timestamp_field="timestamp",
    features=[Aggregate("last", "country", timedelta(days=90), name="country")],
)
def last_known(record):
    return record


members = FeatureService(name="members", features=[profile, last_known])
''',
)

LOGINS: Final = ExampleRepository(
    name="logins",
    summary="a continuous view: windows that end at the read, and one that lies before another",
    source="logins",
    service="login_risk",
    join_keys={"account_id": "a1"},
    events=[
        (44, {"account_id": "a1", "address": "192.0.2.1", "succeeded": False}),
        (43, {"account_id": "a1", "address": "192.0.2.1", "succeeded": True}),
        (10, {"account_id": "a1", "address": "198.51.100.7", "succeeded": False}),
        (8, {"account_id": "a1", "address": "198.51.100.8", "succeeded": False}),
        (5, {"account_id": "a2", "address": "192.0.2.9", "succeeded": True}),
    ],
    definitions='''\
"""How often logins to an account have failed just now.

`headrace apply` publishes what is defined here.
"""

from datetime import timedelta

from headrace import (
    Aggregate,
    Bool,
    Entity,
    FeatureService,
    Field,
    StreamSource,
    String,
    Timestamp,
    stream_feature_view,
)

logins = StreamSource(
    name="logins",
    schema=[
        Field("account_id", String),
        Field("address", String),
        Field("succeeded", Bool),
        Field("timestamp", Timestamp),
    ],
    timestamp_field="timestamp",
)
account = Entity(name="account", join_keys=[Field("account_id", String)])
half_hour = timedelta(minutes=30)


# No aggregation_interval: windows end at the very moment of the read, and an event counts once it is acknowledged.
@stream_feature_view(
    source=logins,
    entities=[account],
    version="V1",
    timestamp_field="timestamp",
    features=[
        Aggregate("count", "address", half_hour, name="failures"),
        # An offset moves both ends of the window: the half hour before that one.
        Aggregate("count", "address", half_hour, offset=half_hour, name="failures_before"),
        Aggregate("last", "address", timedelta(days=1), n=2, name="addresses"),
    ],
)
def failed_logins(record):
    """None drops the event: logins that succeeded do not count."""
    return None if record["succeeded"] else record


login_risk = FeatureService(name="login_risk", features=[failed_logins])
''',
)

ARTICLES: Final = ExampleRepository(
    name="articles",
    summary="a tiled view: long windows, kept as a few sums for each hour",
    source="page_views",
    service="popularity",
    join_keys={"article_id": "bread"},
    events=[
        (8 * DAY_MINUTES, {"article_id": "bread", "seconds": 30}),
        (5 * DAY_MINUTES, {"article_id": "bread", "seconds": 45}),
        (150, {"article_id": "bread", "seconds": 60}),
        (120, {"article_id": "bread", "seconds": 90}),
        (70, {"article_id": "cheese", "seconds": 15}),
        (0, {"article_id": "bread", "seconds": 300}),
    ],
    definitions='''\
"""How much articles are read.

`headrace apply` publishes what is defined here.
"""

from datetime import timedelta

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

page_views = StreamSource(
    name="page_views",
    schema=[
        Field("article_id", String),
        Field("seconds", Int64),
        Field("timestamp", Timestamp),
    ],
    timestamp_field="timestamp",
)
article = Entity(name="article", join_keys=[Field("article_id", String)])
week = timedelta(days=7)


# An aggregation_interval cuts time into tiles, and windows end at the last complete one: what was read in this hour
# counts from the next one on. Windows and offsets are multiples of the interval.
@stream_feature_view(
    source=page_views,
    entities=[article],
    version="V1",
    timestamp_field="timestamp",
    aggregation_interval=timedelta(hours=1),
    features=[
        Aggregate("count", "seconds", timedelta(days=1), name="views_1d"),
        Aggregate("count", "seconds", week, name="views_7d"),
        Aggregate("count", "seconds", week, offset=week, name="views_7d_before"),
        Aggregate("mean", "seconds", week),
    ],
)
def article_views(record):
    return record


popularity = FeatureService(name="popularity", features=[article_views])
''',
)

ORDERS: Final = ExampleRepository(
    name="orders",
    summary="functions that compute columns, drop events and make several rows of one event, for two entities",
    source="orders",
    service="shop",
    join_keys={"customer_id": "c1", "product_id": "tea"},
    events=[
        (
            50,
            {
                "customer_id": "c1",
                "status": "paid",
                "items": [
                    {"product_id": "tea", "quantity": 2, "price": 4.5},
                    {"product_id": "cup", "quantity": 1, "price": 12.0},
                ],
            },
        ),
        (
            40,
            {
                "customer_id": "c2",
                "status": "paid",
                "items": [{"product_id": "tea", "quantity": 1, "price": 4.5}],
            },
        ),
        (
            30,
            {
                "customer_id": "c1",
                "status": "cancelled",
                "items": [{"product_id": "tea", "quantity": 10, "price": 4.5}],
            },
        ),
    ],
    definitions='''\
"""What customers order and how products sell: rows that functions compute.

`headrace apply` publishes what is defined here.
"""

from datetime import timedelta

from headrace import (
    Aggregate,
    Array,
    Entity,
    FeatureService,
    Field,
    Float64,
    Int64,
    StreamSource,
    String,
    Struct,
    Timestamp,
    stream_feature_view,
)

item = Struct((Field("product_id", String), Field("quantity", Int64), Field("price", Float64)))

orders = StreamSource(
    name="orders",
    schema=[
        Field("customer_id", String),
        Field("status", String),
        Field("items", Array(item)),
        Field("timestamp", Timestamp),
    ],
    timestamp_field="timestamp",
)
customer = Entity(name="customer", join_keys=[Field("customer_id", String)])
product = Entity(name="product", join_keys=[Field("product_id", String)])


def paid(order):
    return order["status"] == "paid"


# Columns that the function computes are declared in schema; join keys and event time are found by their names.
@stream_feature_view(
    source=orders,
    entities=[customer],
    version="V1",
    timestamp_field="timestamp",
    schema=[Field("total", Float64)],
    features=[
        Aggregate("sum", "total", timedelta(days=30), name="spent"),
        Aggregate("max", "total", timedelta(days=30), name="largest"),
    ],
)
def customer_orders(order):
    """One row, or none."""
    if not paid(order):
        return None
    total = sum(item["quantity"] * item["price"] for item in order["items"])
    return {"customer_id": order["customer_id"], "timestamp": order["timestamp"], "total": total}


# A join key that is no field of the source is declared in schema too.
@stream_feature_view(
    source=orders,
    entities=[product],
    version="V1",
    timestamp_field="timestamp",
    schema=[Field("product_id", String), Field("quantity", Int64)],
    features=[Aggregate("sum", "quantity", timedelta(days=30), name="sold")],
)
def product_sales(order):
    """One row for each product: rows of one view with the same join keys and event time replace each other."""
    if not paid(order):
        return None
    sold = {}
    for item in order["items"]:
        sold[item["product_id"]] = sold.get(item["product_id"], 0) + item["quantity"]
    return [
        {"product_id": product_id, "timestamp": order["timestamp"], "quantity": quantity}
        for product_id, quantity in sold.items()
    ]


shop = FeatureService(name="shop", features=[customer_orders, product_sales])
''',
)

EXAMPLE_REPOSITORIES: Final[Mapping[str, ExampleRepository]] = {
    each.name: each for each in (TRANSACTIONS, PROFILES, LOGINS, ARTICLES, ORDERS)
}
"""All of them by name, the default first."""
