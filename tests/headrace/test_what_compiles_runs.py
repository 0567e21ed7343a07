"""What `apply` accepts, processors can transform, log and fold, and serving can read: tried for every type there is."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import msgspec
import pytest

from processors.logs.offline_log import OfflineLog, read_rows
from processors.materialize.step import MaterializeStep
from schemas.aggregation.table import FUNCTIONS
from schemas.avro import schema as avro
from schemas.avro import wire
from schemas.definitions.plan import Plan
from schemas.errors import DefinitionError
from schemas.messages.updates import UpdateMessage, decode_update
from schemas.records.transform import SourceRecord
from serving.reads.read_plan import LeadingEdge, compile_read_plan
from serving.tecton.get_features import TectonService
from serving.tecton.requests import parse_get_features, parse_params
from tests.serving.memory_partition import MemoryPartition
from tests.support.flow import transform
from tests.support.memory_disk import MemoryDisk
from tests.support.plans import plan_of

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
MICROS = int(NOW.timestamp()) * 1_000_000
INSTALLATION = "here"

VALUES: Mapping[str, Any] = MappingProxyType(
    {
        "Int64": 2**53 + 1,
        "Float64": -0.5,
        "String": "a",
        "Bool": True,
        "Timestamp": NOW,
        "Array(Int64)": [1, None],
        "Array(Timestamp)": [NOW],
        "Array(Array(String))": [["a"], []],
        "Map(Float64)": {"a": 1.5},
        "Map(Array(Timestamp))": {"a": [NOW]},
        'Struct((Field("a", Int64), Field("b", String, required=False)))': {"a": 1, "b": None},
        'Array(Struct((Field("at", Timestamp),)))': [{"at": NOW}],
    }
)
"""A value of each type, as a repository writes the type."""

HEAD = """
from datetime import timedelta
from headrace import *

user = Entity(name="user", join_keys=[Field("user", String), Field("number", Int64)])
source = StreamSource(name="events", timestamp_field="at", schema=[
    Field("user", String), Field("number", Int64), Field("at", Timestamp), Field("value", {dtype}, required=False)])
@stream_feature_view(source=source, entities=[user], timestamp_field="at"{options})
def view(record):
    return record
service = FeatureService(name="service", features=[view])
"""


def planned(dtype: str, options: str) -> Plan:
    text = HEAD.format(dtype=dtype, options=options)
    return plan_of(text, partitions=1, source_partitions=1, schema_id=1, first_view=7, number=8)


def runs(plan: Plan, value: Any) -> bytes:
    """Takes one record all the way; returns the body that serving answers with."""
    (view,) = plan.views.values()
    source = plan.sources["events"]
    record = {"user": "u", "number": 1, "at": NOW, "value": value}
    framed = wire.frame(1, avro.parse(source.schema), record)
    outcome = transform(plan)([SourceRecord(0, 0, MICROS // 1_000, framed, None)], {})
    assert outcome.rejects == []
    messages = [UpdateMessage(offset, decode_update(data)) for offset, (_, data) in enumerate(outcome.updates)]
    disk, partition = MemoryDisk(), MemoryPartition()
    log = OfflineLog(disk, "prod", 0)
    log.open()
    step = MaterializeStep("prod", 0, log, partition.reader, {view.id: view}, INSTALLATION)
    step.use(plan)
    done = step.run(messages, len(messages))
    assert (done.refused, sum(done.rows.values())) == ((), 1)
    (row,) = read_rows(disk, "prod", 0, view.id)
    assert row["value"] == value
    read_plan = compile_read_plan(plan, plan.services["service"])
    answers = read_plan.read(lambda _: partition, [1, "u"], MICROS + 60_000_000, LeadingEdge.WALL_CLOCK)
    params = parse_params(
        b'{"params": {"featureServiceName": "service", "joinKeyMap": {"user": "u", "number": "1"}, '
        b'"metadataOptions": {"includeNames": true, "includeTypes": true, "includeServingStatus": true}}}'
    )
    return bytes(TectonService(read_plan).encode(parse_get_features(params), [answers], None, 0.0))


@pytest.mark.parametrize("dtype", VALUES)
def test_a_column_of_each_type_is_served(dtype: str) -> None:
    body = msgspec.json.decode(runs(planned(dtype, ""), VALUES[dtype]))
    assert body["metadata"]["features"][0]["status"] == "PRESENT"
    assert body["result"]["features"][0] is not None


@pytest.mark.parametrize("interval", ["", ", aggregation_interval=timedelta(seconds=60)"], ids=["continuous", "tiled"])
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("dtype", VALUES)
def test_an_aggregate_of_each_type_is_refused_with_its_line_or_served(dtype: str, function: str, interval: str) -> None:
    options = f'{interval}, features=[Aggregate("{function}", "value", timedelta(hours=1))]'
    try:
        plan = planned(dtype, options)
    except DefinitionError as error:
        assert error.message.startswith("repo/views.py:")  # noqa: PT017 - it may be refused, and then it says where
        assert "expected" in error.message  # noqa: PT017 - the same
        return
    body = msgspec.json.decode(runs(plan, VALUES[dtype]))
    assert body["metadata"]["features"][0]["status"] == "PRESENT"
    assert body["result"]["features"][0] is not None
