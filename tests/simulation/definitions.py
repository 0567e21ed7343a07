"""What the simulated cluster runs: four views of one source, small enough that windows and tiles are met often.

Two of them have an identity, as their source has it; the others are taken to have been applied before it had one.
"""

from dataclasses import replace
from functools import cache
from typing import Any, Final

import msgspec

from schemas.avro import schema as avro
from schemas.definitions.changes import carry_ids, retire
from schemas.definitions.plan import Plan
from schemas.definitions.repository import load_views
from schemas.records.transform import SourceTransform, ViewFunction
from tests.support.oracle import View
from tests.support.oracle_text import views_of_module
from tests.support.plans import plan_of

REPOSITORY: Final = '''
from datetime import timedelta

from headrace import Aggregate, Entity, Field, Float64, Int64, StreamSource, String, Timestamp, stream_feature_view

events = StreamSource(
    name="events",
    schema=[
        Field("user", String),
        Field("amount", Float64, required=False),
        Field("word", String, required=False),
        Field("line", Int64),
        Field("at", Timestamp),
    ],
    timestamp_field="at",
    identity=["line"],
    log_offline=True,
)
user = Entity(name="user", join_keys=[Field("user", String)])
SECOND = timedelta(seconds=1)
FEATURES = [
    Aggregate(function, "amount", window)
    for function in ("count", "sum", "mean", "min", "max")
    for window in (20 * SECOND, 2000 * SECOND)
]


@stream_feature_view(
    source=events, entities=[user], timestamp_field="at", aggregation_interval=10 * SECOND, grace=60 * SECOND,
    features=[*FEATURES, Aggregate("last", "word", 60 * SECOND, n=3)],
)
def tiled(record):
    """Drops what is marked, fails on what is cursed."""
    if record["word"] == "cursed":
        raise ValueError("cursed")
    return None if record["word"] == "dropped" else record


@stream_feature_view(
    source=events, entities=[user], timestamp_field="at", grace=60 * SECOND,
    features=[*FEATURES, Aggregate("last", "word", 60 * SECOND), Aggregate("last", "amount", 60 * SECOND, n=3)],
)
def continuous(record):
    """Makes two rows of an event with two words, for two users."""
    words = (record["word"] or "").split()
    if len(words) < 2:
        return record
    return [{**record, "word": words[0]}, {**record, "user": words[1], "word": words[1]}]


@stream_feature_view(source=events, entities=[user], timestamp_field="at")
def newest(record):
    return record


@stream_feature_view(source=events, entities=[user], timestamp_field="at")
def newest_line(record):
    return record
'''

WITHOUT_IDENTITY: Final = ("tiled@V1", "newest@V1")

WORKSPACE: Final = "sim"
PARTITIONS: Final = 2
SOURCE_PARTITIONS: Final = 2
SCHEMA_ID: Final = 1
FIRST_VIEW: Final = 11
PLAN_NUMBER: Final = 7
GRACE_SECONDS: Final = 1e9  # no removed view ends


@cache
def plan() -> Plan:
    compiled = plan_of(
        {"events.py": REPOSITORY},
        workspace=WORKSPACE,
        partitions=PARTITIONS,
        source_partitions=SOURCE_PARTITIONS,
        schema_id=SCHEMA_ID,
        first_view=FIRST_VIEW,
        number=PLAN_NUMBER,
    )
    views = {
        key: msgspec.structs.replace(view, identity=()) if key in WITHOUT_IDENTITY else view
        for key, view in compiled.views.items()
    }
    return msgspec.structs.replace(compiled, views=views)


def plan_after(current: Plan, kept: frozenset[str]) -> Plan:
    """The plan that an apply publishes which keeps the views of these keys only: the others are, or stay, retired."""
    views = {key: msgspec.structs.replace(view, id=-1) for key, view in plan().views.items() if key in kept}
    new = msgspec.structs.replace(plan(), views=carry_ids(current, views), number=current.number + 1)
    return retire(current, new, GRACE_SECONDS)


@cache
def _functions() -> dict[str, ViewFunction]:
    return load_views({"events.py": REPOSITORY}, "sim", {}).functions()


def transform(current: Plan) -> SourceTransform:
    return SourceTransform(current, current.sources["events"], _functions())


@cache
def schema() -> avro.ParsedSchema:
    return avro.parse(plan().sources["events"].schema)


@cache
def oracle_views() -> dict[int, View]:
    ids = {view.name: view.id for view in plan().views.values()}
    views = views_of_module(REPOSITORY, ids, columns=("amount", "line", "word"))
    with_identity = {view.id for key, view in plan().views.items() if key not in WITHOUT_IDENTITY}
    return {number: replace(view, identity=("line",) * (number in with_identity)) for number, view in views.items()}


def expected_rows(record: dict[str, Any]) -> dict[int, list[dict[str, Any]]]:
    """What each view makes of a record, by view id, written anew."""
    ids = {view.name: view.id for view in plan().views.values()}
    rows: dict[int, list[dict[str, Any]]] = {ids["newest"]: [record], ids["newest_line"]: [record]}
    rows[ids["tiled"]] = [] if record["word"] in {"dropped", "cursed"} else [record]
    words = (record["word"] or "").split()
    second = {**record, "user": words[1], "word": words[1]} if len(words) > 1 else None
    rows[ids["continuous"]] = [record] if second is None else [{**record, "word": words[0]}, second]
    return rows


def failing_view(record: dict[str, Any]) -> int | None:
    """The id of the view whose function fails on a record; None if none does."""
    return plan().views["tiled@V1"].id if record.get("word") == "cursed" else None
