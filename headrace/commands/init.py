"""``headrace init``: a small feature repository to start from."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click
import msgspec

from headrace.terminal.examples import examples
from schemas.errors import DefinitionError

DEFINITIONS: Final = "features.py"
EVENTS: Final = "transactions.jsonl"

TEXT: Final = '''\
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
'''

SAMPLE: Final = (("u1", 42.5, "books", 50), ("u2", 9.99, None, 40), ("u1", 17.5, "coffee", 30), ("u1", -17.5, None, 20))
"""User, amount, merchant, and how many minutes before now."""


@click.command("init", epilog=examples("headrace init features"))
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
def command(folder: Path) -> None:
    """Write a small working feature repository and some events for it into the new folder DIR."""
    if folder.exists() and any(folder.iterdir()):
        raise DefinitionError(f"{folder} is not empty; name a new folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / DEFINITIONS).write_text(TEXT, encoding="utf-8")
        (folder / EVENTS).write_bytes(_events(datetime.now(UTC)))
    except OSError as error:
        raise DefinitionError(f"{folder} cannot be written: {error.strerror}; name another folder") from error
    click.echo(
        f"{folder / DEFINITIONS} defines the source transactions and the service fraud_detection. Next, while "
        f"`headrace up` runs:\n"
        f"  headrace apply {folder}\n"
        f"  headrace ingest transactions {folder / EVENTS}\n"
        f"  headrace get fraud_detection user_id=u1"
    )


def _events(now: datetime) -> bytes:
    names = ("user_id", "amount", "merchant", "timestamp")
    rows = ((user, amount, merchant, now - timedelta(minutes=age)) for user, amount, merchant, age in SAMPLE)
    return b"".join(msgspec.json.encode(dict(zip(names, row, strict=True))) + b"\n" for row in rows)
