import msgspec
import pytest

from schemas.changes import Change, carry_ids, changes
from tests.schemas.repositories import HEAD, SUM, plan_of, view

IN_PLACE = "an applied version never changes in place; give the view a new version"
ONLY_GROW = "fields may only be added, and only with required=False; make a new source for any other change"
SERVICE = 'service = FeatureService(name="s", features=[totals])\n'


def difference(old: str, new: str) -> list[Change]:
    return changes(plan_of({"views.py": old}), plan_of({"views.py": new}))


def test_a_first_apply_adds_all() -> None:
    assert changes(None, plan_of(view() + SERVICE)) == [
        Change("added", "stream source events"),
        Change("added", "feature view totals@V1"),
        Change("added", "feature service s"),
    ]


def test_nothing_changes_where_nothing_differs() -> None:
    assert difference(HEAD + view() + SERVICE, HEAD + view() + SERVICE) == []


def test_texts_that_mean_the_same_are_one_change() -> None:
    expected = [Change("changed", "repository files", "no definition differs")]
    assert difference(HEAD + view(), HEAD + "# a remark\n" + view()) == expected


def test_ids_do_not_count() -> None:
    old, new = plan_of(view()), plan_of(view())
    views = {key: msgspec.structs.replace(each, id=99) for key, each in new.views.items()}
    assert changes(old, msgspec.structs.replace(new, views=views)) == []


def test_a_source_follows_its_topic() -> None:
    old = plan_of(view())
    sources = {name: msgspec.structs.replace(each, partitions=9) for name, each in old.sources.items()}
    (change,) = changes(old, msgspec.structs.replace(old, sources=sources))
    assert (change.object, change.problem) == ("stream source events", None)
    assert change.detail.startswith("9 partitions, as its topic has now (were ")


def test_what_is_left_out_is_removed() -> None:
    removed = difference(HEAD + view() + view("b") + SERVICE, HEAD + view())
    assert removed == [Change("removed", "feature view b@V1"), Change("removed", "feature service s")]
    assert Change("removed", "stream source events") in difference(HEAD + view(), "")


def test_a_new_version_is_a_new_view() -> None:
    new = view() + view("totals2", ', name="totals", version="V2"' + SUM)
    assert difference(HEAD + view(), HEAD + new) == [Change("added", "feature view totals@V2")]


@pytest.mark.parametrize(
    ("new", "detail"),
    [
        (view(body="return None"), "code"),
        (view(options=SUM + ", grace=hour"), "horizon, grace"),
        (view(options=', features=[Aggregate("min", "x", hour)]'), "features, partials"),
        (view(options=SUM + ", offline=False"), "offline"),
    ],
)
def test_an_applied_version_never_changes_in_place(new: str, detail: str) -> None:
    expected = [Change("changed", "feature view totals@V1", detail, IN_PLACE)]
    assert difference(HEAD + view(), HEAD + new) == expected


def test_a_changed_helper_changes_the_view() -> None:
    (found,) = difference(
        HEAD + "RATE = 1\n" + view(body="return {**record, 'x': RATE}"),
        HEAD + "RATE = 2\n" + view(body="return {**record, 'x': RATE}"),
    )
    assert (found.detail, found.problem) == ("code", IN_PLACE)


OPTIONAL = 'Field("x", Float64, required=False)'


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (OPTIONAL, OPTIONAL + ', Field("z", String, required=False)', ("z", None)),
        (OPTIONAL, OPTIONAL + ', Field("z", String)', ("z", ONLY_GROW)),
        (OPTIONAL, 'Field("x", Float64)', ("x", ONLY_GROW)),
        (OPTIONAL, 'Field("x", Int64, required=False)', ("x", ONLY_GROW)),
        (OPTIONAL, 'Field("y", Float64, required=False)', ("x", ONLY_GROW)),
        ('Field("x", Struct((Field("a", Int64),)))', 'Field("x", Struct((Field("a", String),)))', ("x", ONLY_GROW)),
        (
            'Field("x", Struct((Field("a", Int64, required=False),)))',
            'Field("x", Struct((Field("a", Int64),)))',
            ("x", ONLY_GROW),
        ),
    ],
)
def test_a_source_only_grows_optional_fields(old: str, new: str, expected: tuple[str, str | None]) -> None:
    text = (
        "from headrace import *\n"
        'source = StreamSource(name="events", timestamp_field="at", schema=[{}, Field("at", Timestamp)])\n'
    )
    detail, problem = expected
    assert difference(text.format(old), text.format(new)) == [
        Change("changed", "stream source events", detail, problem)
    ]


def test_a_source_may_begin_to_keep_its_records() -> None:
    text = HEAD.replace('timestamp_field="at"', 'timestamp_field="at", log_offline=True')
    assert difference(HEAD + view(), text + view()) == [Change("changed", "stream source events")]


def test_a_service_may_change_its_views() -> None:
    new = SERVICE.replace("[totals]", "[b, totals]")
    old = HEAD + view() + view("b")
    assert difference(old + SERVICE, old + new) == [Change("changed", "feature service s", "b@V1, totals@V1")]


def test_ids_are_carried_by_name_and_version() -> None:
    old = plan_of(view())
    new = {key: msgspec.structs.replace(each, id=-1) for key, each in plan_of(view() + view("b")).views.items()}
    assert {key: each.id for key, each in carry_ids(old, new).items()} == {"totals@V1": 10, "b@V1": -1}
    assert carry_ids(None, new) == new
