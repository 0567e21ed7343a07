from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.aggregation.table import FUNCTIONS
from schemas.definitions.compile import compile_sources, compile_views
from schemas.definitions.plan import ViewPlan, view_digest
from schemas.definitions.repository import load_repository
from schemas.errors import DefinitionError
from schemas.instants import DAY, HOUR
from tests.support.histories import examples
from tests.support.repositories import HEAD, WITH_IDENTITY, plan_of, view, view_plan

LINE = HEAD.count("\n") + 1


def features(*aggregates: str, interval: str | None = None) -> str:
    grain = "" if interval is None else f", aggregation_interval={interval}"
    return f"{grain}, features=[{', '.join(aggregates)}]"


def named(plan: ViewPlan) -> list[str]:
    return [feature.name for feature in plan.features]


def test_a_tiled_view_compiles() -> None:
    plan = view_plan(view(options=features('Aggregate("mean", "x", 2 * hour, offset=hour)', interval="hour")))
    (feature,) = plan.features
    assert (feature.name, feature.window, feature.offset) == ("x_mean_2h_1h_offset_1h", 2 * HOUR, HOUR)
    assert (plan.interval, plan.resolutions) == (HOUR, (HOUR,))
    assert plan.horizon == 3 * HOUR + HOUR + 7 * DAY
    assert [column.name for column in plan.columns] == ["user", "at", "x"]
    assert [(partial.column, partial.kind) for partial in plan.partials] == [("x", "count"), ("x", "float_sum")]


def test_a_continuous_view_compiles() -> None:
    plan = view_plan(view(options=features('Aggregate("count", "x", 10 * hour)') + ", grace=timedelta(0)"))
    assert named(plan) == ["x_count_10h_continuous"]
    assert (plan.interval, plan.resolutions[0]) == (0, HOUR)
    assert plan.horizon == 10 * HOUR + plan.resolutions[-1]


def test_an_attribute_view_serves_all_columns_but_keys_and_time() -> None:
    plan = view_plan(view(options=", ttl=hour"))
    assert named(plan) == ["tags", "x"]
    assert (plan.horizon, plan.resolutions, plan.partials, plan.ttl) == (None, (), (), HOUR)


def test_a_schema_names_the_columns() -> None:
    plan = view_plan(view(options=', schema=[Field("z", Int64), Field("x", Int64, required=False)]'))
    columns = [(column.name, column.dtype.name, column.required) for column in plan.columns]
    assert columns == [("user", "string", True), ("at", "timestamp", True), ("z", "int64", True), ("x", "int64", False)]


def test_aggregates_of_one_column_share_partials() -> None:
    aggregates = [f'Aggregate("{name}", "x", hour)' for name in ("count", "sum", "mean", "min", "last")]
    plan = view_plan(view(options=features(*aggregates, 'Aggregate("last", "x", hour, n=1)')))
    assert [partial.kind for partial in plan.partials] == ["count", "extreme", "float_sum", "last"]
    assert {f.function: f.partials for f in plan.features if not f.parameters} == {
        "count": (0,),
        "sum": (0, 2),
        "mean": (0, 2),
        "min": (1,),
        "last": (3,),
    }


@given(st.randoms(use_true_random=False))
@examples(20)
def test_the_order_of_a_definitions_lines_changes_nothing(random: Random) -> None:
    aggregates = [f'Aggregate("{name}", "x", hour)' for name in ("count", "sum", "mean", "min", "max", "last")]
    aggregates += [f'Aggregate("last", "x", hour, n={n})' for n in (1, 2, 10)]
    written = view_plan(view(options=features(*aggregates)))
    swapped = view_plan(view(options=features(*random.sample(aggregates, len(aggregates)))))
    assert swapped == written
    assert view_digest(swapped) == view_digest(written)


def test_join_keys_of_several_entities_are_joined() -> None:
    text = 'other = Entity(name="other", join_keys=[Field("user", String), Field("number", Int64)])\n'
    options = ', schema=[Field("number", Int64), Field("x", Float64)]'
    plan = view_plan(text + view(options=options).replace("[user]", "[user, other]"))
    assert plan.join_keys == ("user", "number")


def test_services_name_their_views_by_version() -> None:
    text = view() + view("b", ', version="V2"') + 'service = FeatureService(name="s", features=[totals, b])\n'
    assert plan_of(text).services["s"].views == ("b@V2", "totals@V1")


def test_sources_compile_with_their_schema() -> None:
    source = plan_of(view()).sources["events"]
    assert (source.partitions, source.schema_id, source.timestamp_field) == (4, -1, "at")
    assert source.schema.startswith('{"fields":[{"name":"user","type":"string"},{"default":null,"name":"x"')


def test_features_of_different_windows_never_get_one_name() -> None:
    plan = view_plan(view(options=features(*(f'Aggregate("sum", "x", timedelta(microseconds={n}))' for n in (1, 2)))))
    assert named(plan) == ["x_sum_1us_continuous", "x_sum_2us_continuous"]


NUMBERS = ", ".join(f'Field("k{number}", Int64)' for number in range(120))
OTHER = 'Entity(name="e", join_keys=[Field("{}", {})])'

UNKNOWN = (
    "is neither a field of source 'events' nor in schema=[...]; "
    "return it from the function and declare it with schema=[Field('{}', {}), ...]"
)


def aggregate(text: str, **options: str) -> str:
    return view(options=features(f"Aggregate({text})", **options))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "def build():\n    return StreamSource(name='s', schema=source.schema, timestamp_field='at')\n"
            + view().replace("source=source", "source=build()"),
            "source 's' is not defined at the top of a module; move it there",
        ),
        (
            view(options=', schema=[Field("user", String)]'),
            "has nothing to serve: no features, and no columns but join",
        ),
        (
            view(options=features('Aggregate("sum", "x", hour, name="a")', 'Aggregate("min", "x", hour, name="a")')),
            "two features are called 'a'; give one of them name=...",
        ),
        (
            view().replace("[user]", f"[{OTHER.format('id', 'Int64')}]"),
            f"join key 'id' of entity 'e' {UNKNOWN.format('id', 'Int64')}",
        ),
        (
            view(options=f", schema=[{NUMBERS}, Field('x', Float64)]").replace(
                "[user]", f'[user, Entity(name="numbers", join_keys=[{NUMBERS}])]'
            ),
            "its 121 join keys take at least 1,083 bytes in each row, at most 1,024 are stored; use fewer",
        ),
        (
            view().replace("[user]", f"[{OTHER.format('user', 'Int64')}]"),
            "join key 'user' is string in the rows but int64 in entity 'e'; make them equal",
        ),
        (view().replace('"at"', '"when"'), "timestamp_field 'when' must be a Timestamp column, got no such column"),
        (view().replace('"at"', '"x"'), "timestamp_field 'x' must be a Timestamp column, got float64"),
        (
            aggregate('"sum", "z", hour'),
            f"column 'z' of 'sum' {UNKNOWN.format('z', 'Type')}",
        ),
        (
            view(options=features('Aggregate("sum", "x", hour)') + ', schema=[Field("z", Int64)]'),
            "column 'x' of 'sum' is not in schema=[...]; add it",
        ),
        (
            aggregate('"median", "x", hour'),
            f"Aggregate('median', 'x'): unknown function; expected one of {', '.join(FUNCTIONS)}",
        ),
        (aggregate('"sum", "user", hour'), "Aggregate('sum', 'user'): the column is string; expected int64 or float64"),
        (aggregate('"last", "tags", hour'), "Aggregate('last', 'tags'): the column is array; expected a scalar"),
        (aggregate('"sum", "x", hour, n=2'), "Aggregate('sum', 'x'): n=2 is not for 'sum'; remove it"),
        (aggregate('"last", "x", hour, m=2'), "Aggregate('last', 'x'): m=2 is not for 'last'; it takes n"),
        (aggregate('"last", "x", hour, n=0'), "Aggregate('last', 'x'): n=0 must be 1..1000"),
        (aggregate('"last", "x", hour, n=1001'), "Aggregate('last', 'x'): n=1001 must be 1..1000"),
        (aggregate('"last", "x", hour, n="2"'), "Aggregate('last', 'x'): n='2' must be 1..1000"),
        (aggregate('"last", "x", hour, n=True'), "Aggregate('last', 'x'): n=True must be 1..1000"),
        (aggregate('"sum", "x", 3600'), "Aggregate('sum', 'x'): window must be a timedelta, got 3600"),
        (
            aggregate('"sum", "x", timedelta(0)'),
            "Aggregate('sum', 'x'): window must be positive and at most 365 days, got 0:00:00",
        ),
        (
            aggregate('"sum", "x", timedelta(366)'),
            "Aggregate('sum', 'x'): window must be positive and at most 365 days, got 366 days, 0:00:00",
        ),
        (
            aggregate('"sum", "x", hour, offset=-hour'),
            "Aggregate('sum', 'x'): offset must be not negative and at most 36500 days, got -1 day, 23:00:00",
        ),
        (
            aggregate('"sum", "x", hour, offset=timedelta.max'),
            "Aggregate('sum', 'x'): offset must be not negative and at most 36500 days, got 999999999 days",
        ),
        (
            aggregate('"sum", "x", 1.5 * hour', interval="hour"),
            "Aggregate('sum', 'x'): window must be a multiple of the aggregation_interval",
        ),
        (
            aggregate('"sum", "x", hour, offset=hour / 2', interval="hour"),
            "Aggregate('sum', 'x'): offset must be a multiple of the aggregation_interval",
        ),
        (
            aggregate('"sum", "x", hour, name="a b"'),
            "Aggregate('sum', 'x'): name 'a b' must be letters, digits and single underscores",
        ),
        (view(options=", aggregation_interval=hour"), "aggregation_interval needs features; add some or remove it"),
        (
            aggregate('"sum", "x", timedelta(365)', interval="timedelta(seconds=1)"),
            "a window of 31536000 s is too long for tiles of 1.0 s; lengthen the aggregation_interval or shorten the",
        ),
        (aggregate('"sum", "x", hour', interval="60"), "aggregation_interval must be a timedelta, got 60"),
        (
            aggregate('"sum", "x", hour', interval="-hour"),
            "aggregation_interval must be positive and at most 36500 days, got -1 day, 23:00:00",
        ),
        (aggregate('"sum", "x", hour', interval="timedelta(0)"), "aggregation_interval must be positive and at most"),
        (view(options=", ttl=timedelta(0)"), "ttl must be positive and at most 36500 days, got 0:00:00"),
        (view(options=", grace=-hour"), "grace must be not negative and at most 36500 days, got -1 day, 23:00:00"),
        (
            view(options=", grace=timedelta.max"),
            "grace must be not negative and at most 36500 days, got 999999999 days",
        ),
        (
            view().replace("def ", "async def "),
            "the function must be a plain def; a lambda or an async def cannot be a",
        ),
    ],
)
def test_a_view_that_cannot_run_names_file_line_object_and_remedy(text: str, problem: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        plan_of(text)
    line = LINE + text[: text.index("@stream_feature_view")].count("\n")
    assert caught.value.message.startswith(f"repo/views.py:{line}: stream_feature_view 'totals': {problem}")


@pytest.mark.parametrize(
    ("stamp", "got"),
    [("when", "no such field"), ("user", "string"), ("maybe", "an optional timestamp")],
)
def test_a_sources_timestamp_must_be_a_required_timestamp(stamp: str, got: str) -> None:
    fields = 'Field("user", String), Field("maybe", Timestamp, required=False)'
    text = f'from headrace import *\ns = StreamSource(name="s", schema=[{fields}], timestamp_field="{stamp}")\n'
    with pytest.raises(DefinitionError) as caught:
        plan_of({"views.py": text})
    problem = f"timestamp_field {stamp!r} must be a required Timestamp of the schema, got {got}"
    assert caught.value.message == f"repo/views.py:2: StreamSource 's': {problem}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "def build():\n    " + view().replace("\n", "\n    ") + "return totals\n"
            "service = FeatureService(name='s', features=[build()])\n",
            "view 'totals' is not defined at the top of a module; move it there",
        ),
        (
            view(options=", online=False") + "service = FeatureService(name='s', features=[totals])\n",
            "view 'totals' has online=False; set online=True or remove it",
        ),
    ],
)
def test_a_service_that_cannot_serve_names_file_line_object_and_remedy(text: str, problem: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        plan_of(text)
    line = LINE + text[: text.index("service =")].count("\n")
    assert caught.value.message == f"repo/views.py:{line}: FeatureService 's': {problem}"


NUMBERED = """
numbers = StreamSource(name="numbers", timestamp_field="at", schema=[
    Field("user", Int64), Field("x", Float64), Field("at", Timestamp)])
number = Entity(name="number", join_keys=[Field("user", Int64)])


@stream_feature_view(source=numbers, entities=[number], timestamp_field="at")
def numbered(record):
    return record


"""


def test_a_service_whose_views_give_one_join_key_two_types_is_refused() -> None:
    text = view() + NUMBERED
    line = HEAD.count("\n") + text.count("\n") + 1
    with pytest.raises(DefinitionError) as refused:
        plan_of(text + 'both = FeatureService(name="both", features=[totals, numbered])\n')
    assert refused.value.message == (
        f"repo/views.py:{line}: FeatureService 'both': join key 'user' is int64 in view numbered@V1 and string in view "
        "totals@V1; make them one type, rename one of them, or give each view a service of its own"
    )


GROWN = HEAD.replace('Field("at", Timestamp)])', 'Field("at", Timestamp), Field("more", Int64, required=False)])')
NEWEST = view("newest", options="")


def grown(text: str, applied: dict[str, ViewPlan]) -> dict[str, ViewPlan]:
    """The views of a text whose source has a field more than when ``applied`` was."""
    repository = load_repository({"views.py": GROWN + text}, "repo")
    return compile_views(repository, compile_sources(repository, 4), applied=applied)


def test_a_source_that_grows_changes_no_attribute_view_that_was_applied() -> None:
    before = plan_of(NEWEST).views
    after = grown(NEWEST, before)
    assert {key: msgspec.structs.replace(plan, id=before[key].id) for key, plan in after.items()} == before
    assert named(grown(NEWEST, {})["newest@V1"]) == ["more", "tags", "x"]


def test_a_new_version_of_an_attribute_view_serves_what_the_source_has_by_then() -> None:
    second = view("newest", options=', version="V2"')
    assert named(grown(second, plan_of(NEWEST).views)["newest@V2"]) == ["more", "tags", "x"]


def test_a_schema_decides_whatever_was_applied() -> None:
    listed = view("newest", options=', schema=[Field("more", Int64, required=False)]')
    assert named(grown(listed, plan_of(NEWEST).views)["newest@V1"]) == ["more"]


def identified(text: str, identity: str = '["order"]') -> ViewPlan:
    """The one view of a text whose source has identity columns."""
    (plan,) = plan_of({"views.py": WITH_IDENTITY.format(identity) + text}).views.values()
    return plan


def test_a_view_has_the_identity_columns_of_its_source_behind_its_own() -> None:
    plan = identified(view(), '["line", "order"]')
    assert plan.identity == ("line", "order")
    assert [column.name for column in plan.columns] == ["user", "at", "x", "line", "order"]


def test_identity_columns_are_served_where_they_are_asked_for() -> None:
    assert named(identified(view(options=""))) == ["line", "order", "tags", "x"]
    assert named(identified(view(options=', schema=[Field("x", Float64)]'))) == ["x"]


def test_what_is_in_a_rows_identity_anyway_is_not_there_twice() -> None:
    text = 'order = Entity(name="order", join_keys=[Field("order", String)])\n' + view().replace("[user]", "[order]")
    assert identified(text, '["order", "line", "at"]').identity == ("line",)


def test_a_view_cannot_give_an_identity_column_another_type() -> None:
    for field, got in (("Int64", "int64"), ("String, required=False", "an optional string")):
        with pytest.raises(DefinitionError) as caught:
            identified(view(options=f', schema=[Field("x", Float64), Field("order", {field})]'))
        problem = f"identity column 'order' is {got} in schema=[...], and a required string in its source"
        assert caught.value.message.endswith(f"stream_feature_view 'totals': {problem}; make them equal")


def test_an_applied_version_keeps_the_identity_that_it_has() -> None:
    before = plan_of(NEWEST).views
    text = WITH_IDENTITY.format('["order"]') + NEWEST + view("second", ', name="newest", version="V2"')
    repository = load_repository({"views.py": text}, "repo")
    after = compile_views(repository, compile_sources(repository, 4), applied=before)
    assert {key: plan.identity for key, plan in after.items()} == {"newest@V1": (), "newest@V2": ("order",)}
    assert msgspec.structs.replace(after["newest@V1"], id=before["newest@V1"].id) == before["newest@V1"]


def test_an_identity_column_that_its_source_has_lost_is_no_column() -> None:
    applied = {"totals@V1": identified(view())}
    repository = load_repository({"views.py": HEAD + view()}, "repo")
    assert compile_views(repository, compile_sources(repository, 4), applied=applied)["totals@V1"].identity == ()


@pytest.mark.parametrize(
    ("name", "got"),
    [("when", "no such field"), ("x", "an optional float64"), ("maybe", "an optional string"), ("list", "array")],
)
def test_an_identity_column_must_be_a_required_field_of_a_type_with_one_encoding(name: str, got: str) -> None:
    fields = 'Field("at", Timestamp), Field("x", Float64, required=False), Field("maybe", String, required=False)'
    listed = f'schema=[{fields}, Field("list", Array(Int64))], timestamp_field="at", identity=["at", "{name}"]'
    with pytest.raises(DefinitionError) as caught:
        plan_of({"views.py": f'from headrace import *\ns = StreamSource(name="s", {listed})\n'})
    expected = "must be a required string, int64, boolean or timestamp of the schema"
    assert caught.value.message == f"repo/views.py:2: StreamSource 's': identity column {name!r} {expected}, got {got}"
