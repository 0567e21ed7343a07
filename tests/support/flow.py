"""A small plan with one source and its records, for the steps' tests."""

from typing import Any

from schemas.avro import schema as avro
from schemas.avro import wire
from schemas.definitions.plan import Plan, SourcePlan
from schemas.definitions.repository import load_views
from schemas.messages.updates import ReplyAddress
from schemas.records.transform import SourceRecord, SourceTransform
from tests.support.plans import plan_of

WORKSPACE = "prod"
SOURCE = "events"
INSTALLATION = "here"
AT = 1_763_000_000_000_000  # µs
OWN_ID = 11

TEXT = """
from datetime import timedelta
from headrace import *

user = Entity(name="user", join_keys=[Field("user", String)])
events = StreamSource(name="events", timestamp_field="at", log_offline=True, schema=[
    Field("user", String), Field("amount", Float64), Field("at", Timestamp)])

@stream_feature_view(source=events, entities=[user], version="V1", timestamp_field="at")
def newest(record):
    return record

@stream_feature_view(source=events, entities=[user], version="V1", timestamp_field="at",
    aggregation_interval=timedelta(minutes=1), features=[Aggregate("sum", "amount", timedelta(hours=1))])
def totals(record):
    return None if record["amount"] < 0 else {**record, "amount": 1 / record["amount"]}
"""


def plan(number: int = 5, partitions: int = 2) -> Plan:
    """Returns a plan with views ``newest@V1`` (id 1) and ``totals@V1`` (id 2, fails for an amount of 0)."""
    return plan_of(
        {"features.py": TEXT},
        workspace=WORKSPACE,
        partitions=partitions,
        source_partitions=partitions,
        schema_id=OWN_ID,
        first_view=1,
        number=number,
    )


def transform(of: Plan) -> SourceTransform:
    """Returns the transform of the plan's source, whose views all load."""
    loaded = load_views(of.files, "flow", {})
    assert loaded.failures == {}
    return SourceTransform(of, of.sources[SOURCE], loaded.functions())


def body(source: SourcePlan, user: str, amount: float, at: int = AT) -> bytes:
    """Returns an event as a producer frames it."""
    event = {"user": user, "amount": amount, "at": at}
    return wire.frame(OWN_ID, avro.parse(source.schema), event)


def record(offset: int, value: bytes, reply: ReplyAddress | None = None) -> SourceRecord:
    """Returns a record of source partition 1."""
    return SourceRecord(1, offset, AT // 1000 + offset, value, reply)


def events(of: Plan, *amounts: Any, waiting: bool = False) -> list[SourceRecord]:
    """Returns one record for each amount, of changing users; bytes stand for themselves."""
    source = of.sources[SOURCE]
    return [
        record(
            offset,
            amount if isinstance(amount, bytes) else body(source, f"u{offset % 3}", amount, AT + offset * 1_000),
            ReplyAddress(offset % 2, b"request", offset, INSTALLATION) if waiting else None,
        )
        for offset, amount in enumerate(amounts)
    ]
