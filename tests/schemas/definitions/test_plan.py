import fastavro
import msgspec
import pytest

from schemas.aggregation.counts import Count
from schemas.aggregation.extremes import Extreme
from schemas.aggregation.lasts import Last
from schemas.aggregation.sums import FloatSum
from schemas.definitions.plan import Plan, ViewPlan, stored_columns, view_digest
from schemas.definitions.plan_codec import decode_view, encode
from schemas.types import Float64
from tests.support.repositories import SUM, plan_of, view, view_plan

TEXT = view() + view("position", "") + 'service = FeatureService(name="s", features=[totals])\n'


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_of(TEXT)


def test_views_of_a_source(plan: Plan) -> None:
    assert [found.key for found in plan.views_of("events")] == ["position@V1", "totals@V1"]
    assert plan.views_of("other") == ()


class LaterView(ViewPlan, frozen=True, omit_defaults=True):
    """A view as a later version of Headrace might know it."""

    more: int = 0


def test_a_digest_is_of_all_of_a_view_but_its_id(plan: Plan) -> None:
    found = plan.views["totals@V1"]
    digest = view_digest(found)
    assert view_digest(msgspec.structs.replace(found, id=found.id + 1)) == digest
    assert view_digest(decode_view(3, encode(found))) == digest
    changed = {"name": "other", "columns": found.columns[1:], "features": (), "ttl": 1, "grace": 1, "code": ""}
    others = {view_digest(msgspec.structs.replace(found, **{name: value})) for name, value in changed.items()}
    assert len(others - {digest}) == len(changed)


def test_a_digest_outlives_a_version_that_knows_more_of_views(plan: Plan) -> None:
    found = plan.views["totals@V1"]
    fields = {name: getattr(found, name) for name in found.__struct_fields__}
    assert view_digest(LaterView(**fields)) == view_digest(found)
    assert view_digest(LaterView(**fields, more=1)) != view_digest(found)
    bare = ViewPlan(1, "v", "V1", "s", ("k",), "at", (), (), (), (), 0, None, 0, None, True, True, "c")
    assert view_digest(bare).hex() == "5af03b02a5546391449a1fb60d10b885587c6c07cd6a1e6496a6ceb73ff3ed1c"


def test_types_of_features_and_columns(plan: Plan) -> None:
    assert plan.views["totals@V1"].features[0].dtype == Float64
    assert plan.views["totals@V1"].is_aggregate
    assert not plan.views["position@V1"].is_aggregate


def test_stored_columns_are_what_is_aggregated_or_served(plan: Plan) -> None:
    assert stored_columns(plan.views["totals@V1"]) == ("x",)
    assert stored_columns(plan.views["position@V1"]) == ("tags", "x")


def test_partials_find_their_kinds() -> None:
    aggregates = ("sum", "min", "last", "mean")
    options = ", features=[" + ", ".join(f'Aggregate("{name}", "x", hour)' for name in aggregates) + "]"
    kinds = [partial.bound() for partial in view_plan(view(options=options)).partials]
    assert kinds == [Count(), Extreme("min", floats=True), FloatSum(), Last(1)]


def test_row_schemas_are_avro_with_a_required_event_time() -> None:
    options = ', version="V.1-b", schema=[Field("at", Timestamp, required=False), Field("x", Array(Int64))]'
    schema = view_plan(view(options=options)).row_schema()
    fastavro.parse_schema(schema)
    assert schema["name"] == "totals__V_1_b__10"
    stamp = {"type": "long", "logicalType": "timestamp-micros"}
    assert schema["fields"][1] == {"name": "at", "type": stamp}


def test_a_view_plan_knows_its_key() -> None:
    plan: ViewPlan = view_plan(view(options=SUM + ', version="V9"'))
    assert plan.key == "totals@V9"
