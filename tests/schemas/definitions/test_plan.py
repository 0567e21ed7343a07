import fastavro
import msgspec
import pytest

from schemas.definitions.plan import (
    Definitions,
    Plan,
    RetiredView,
    ViewPlan,
    decode_plan,
    decode_view,
    encode,
    encode_ended,
    ended_key,
    partial_kinds,
    plan_key,
    stored_columns,
    view_digest,
    view_key,
)
from schemas.errors import CodecError
from schemas.types import Float64
from tests.support.repositories import SUM, plan_of, view, view_plan

TEXT = view() + view("position", "") + 'service = FeatureService(name="s", features=[totals])\n'


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_of(TEXT)


def test_a_plan_comes_back_with_its_offset_as_number(plan: Plan) -> None:
    assert decode_plan(77, encode(plan)) == msgspec.structs.replace(plan, number=77)


def test_a_view_comes_back_with_its_offset_as_id(plan: Plan) -> None:
    found = plan.views["totals@V1"]
    assert decode_view(77, encode(found)) == msgspec.structs.replace(found, id=77)


def test_equal_plans_are_equal_bytes(plan: Plan) -> None:
    views = dict(reversed(plan.views.items()))
    assert encode(msgspec.structs.replace(plan, views=views)) == encode(plan) == encode(plan_of(TEXT))


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"\xff", b'{"workspace":"\xff"}'])
def test_what_is_no_plan_or_view_is_refused(data: bytes) -> None:
    with pytest.raises(CodecError, match="plan 3 does not decode"):
        decode_plan(3, data)
    with pytest.raises(CodecError, match="view message 3 does not decode"):
        decode_view(3, data)


def test_a_plan_of_an_unknown_format_says_to_upgrade(plan: Plan) -> None:
    with pytest.raises(CodecError, match="plan 3 has format 3, expected 2; upgrade Headrace"):
        decode_plan(3, encode(msgspec.structs.replace(plan, format=3)))


def test_a_plan_of_the_first_format_has_nothing_retired(plan: Plan) -> None:
    old = msgspec.json.decode(encode(msgspec.structs.replace(plan, format=1)))
    del old["retired"], old["repositories"]
    assert decode_plan(3, msgspec.json.encode(old)).retired == {}


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
    assert plan.views["totals@V1"].features[0].data_type() == Float64
    assert plan.views["totals@V1"].is_aggregate
    assert not plan.views["position@V1"].is_aggregate


def test_stored_columns_are_what_is_aggregated_or_served(plan: Plan) -> None:
    assert stored_columns(plan.views["totals@V1"]) == ("x",)
    assert stored_columns(plan.views["position@V1"]) == ("tags", "x")


def test_partials_find_their_kinds() -> None:
    aggregates = ("sum", "min", "last", "mean")
    options = ", features=[" + ", ".join(f'Aggregate("{name}", "x", hour)' for name in aggregates) + "]"
    names = [type(kind).__name__ for kind in partial_kinds(view_plan(view(options=options)))]
    assert names == ["Count", "FloatSum", "Extreme", "Last"]


def test_row_schemas_are_avro_with_a_required_event_time() -> None:
    options = ', version="V.1-b", schema=[Field("at", Timestamp, required=False), Field("x", Array(Int64))]'
    schema = view_plan(view(options=options)).row_schema()
    fastavro.parse_schema(schema)
    assert schema["name"] == "totals__V_1_b__10"
    stamp = {"type": "long", "logicalType": "timestamp-micros"}
    assert schema["fields"][1] == {"name": "at", "type": stamp}


def folded(*messages: tuple[int, bytes, bytes | None]) -> Definitions:
    definitions = Definitions()
    for message in messages:
        definitions.apply(*message)
    return definitions


def test_definitions_keep_the_newest_plan_of_each_workspace_and_every_view(plan: Plan) -> None:
    found = plan.views["totals@V1"]
    definitions = folded(
        (0, view_key("prod", "totals", "V1", "n1"), encode(found)),
        (1, plan_key("prod"), encode(plan)),
        (2, plan_key("dev"), encode(plan)),
        (5, plan_key("prod"), encode(plan)),
        (7, view_key("dev", "totals", "V1", "n2"), encode(found)),
    )
    assert {name: each.number for name, each in definitions.plans.items()} == {"prod": 5, "dev": 2}
    assert {number: each.id for number, each in definitions.views.items()} == {0: 0, 7: 7}
    assert definitions.workspace_of == {0: "prod", 7: "dev"}


def test_a_tombstone_removes_a_workspace_and_no_view(plan: Plan) -> None:
    found = plan.views["totals@V1"]
    key = view_key("prod", "totals", "V1", "n1")
    definitions = folded(
        (0, key, encode(found)), (1, plan_key("prod"), encode(plan)), (2, plan_key("prod"), None), (3, key, None)
    )
    assert definitions.plans == {}
    assert list(definitions.views) == [0]


def retiring(plan: Plan) -> Plan:
    """The plan without its views, which are retired since plan 4; each from a repository of its own."""
    retired = {
        key: RetiredView(view, plan.sources["events"], texts=name, since=4, grace=60)
        for name, (key, view) in zip("ab", sorted(plan.views.items()), strict=True)
    }
    return msgspec.structs.replace(plan, views={}, retired=retired, repositories={"a": {}, "b": {}})


def test_a_retired_view_ends_for_everyone_who_reads_so(plan: Plan) -> None:
    retired = retiring(plan)
    position = retired.retired["position@V1"]
    ended = (7, ended_key("prod", position.view.id), encode_ended(position))
    definitions = folded((5, plan_key("prod"), encode(retired)))
    before = definitions.plans["prod"]
    definitions.apply(*ended)
    after = definitions.plans["prod"]
    assert before.retired == retired.retired
    assert (list(after.retired), list(after.repositories), after.number) == (["totals@V1"], ["b"], 5)
    definitions.apply(8, *ended[1:])
    assert definitions.plans["prod"] is after
    definitions.apply(9, plan_key("prod"), encode(retired))  # an apply that had not read of the end
    assert definitions.plans["prod"] == msgspec.structs.replace(after, number=9)


def test_an_end_means_one_retirement_and_no_view_in_force(plan: Plan) -> None:
    first = retiring(plan).retired["position@V1"]
    ended = (ended_key("prod", first.view.id), encode_ended(first))
    again = {"position@V1": msgspec.structs.replace(first, since=6)}
    later = msgspec.structs.replace(plan, views={}, retired=again, repositories={"a": {}})
    in_force = folded((5, plan_key("prod"), encode(plan)), (6, *ended))
    assert in_force.plans["prod"] == msgspec.structs.replace(plan, number=5)
    in_force.apply(8, plan_key("prod"), encode(later))
    assert in_force.plans["prod"].retired == again
    assert folded((6, *ended)).plans == {}


@pytest.mark.parametrize(
    ("key", "value"), [(b"ended/prod/x", b'{"since":1}'), (b"ended/prod/7", b"{"), (b"ended/", b"{}")]
)
def test_an_end_that_does_not_say_of_what_is_refused(key: bytes, value: bytes) -> None:
    with pytest.raises(CodecError, match="message 4 of the definitions does not tell which view ended"):
        folded((4, key, value))


@pytest.mark.parametrize("key", [b"other/prod", b"", b"\xff/a"])
def test_a_message_of_another_kind_is_refused(key: bytes) -> None:
    with pytest.raises(
        CodecError, match=r"message 4 of the definitions has key b'.*', expected plan/..., view/... or ended/..."
    ):
        folded((4, key, b"{}"))


def test_a_refused_message_changes_nothing(plan: Plan) -> None:
    definitions = folded((1, plan_key("prod"), encode(plan)))
    for key in (plan_key("prod"), view_key("prod", "a", "V1", "n")):
        with pytest.raises(CodecError):
            definitions.apply(9, key, b"{}")
    assert definitions.plans["prod"].number == 1
    assert (definitions.views, definitions.workspace_of) == ({}, {})


def test_a_view_plan_knows_its_key() -> None:
    plan: ViewPlan = view_plan(view(options=SUM + ', version="V9"'))
    assert plan.key == "totals@V9"
