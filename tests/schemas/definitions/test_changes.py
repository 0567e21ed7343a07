import msgspec
import pytest

from schemas.definitions.changes import DAY_SECONDS, Change, carry_ids, changes, retire
from schemas.definitions.compile import compile_sources, compile_views
from schemas.definitions.plan import Plan
from schemas.definitions.repository import load_repository
from tests.support.repositories import HEAD, SUM, WITH_IDENTITY, plan_of, view

IN_PLACE = "an applied version never changes in place; give the view a new version"
ONLY_GROW = "fields may only be added, and only with required=False; make a new source for any other change"
EMPTY = (
    "starts empty: its windows are full after 1h, or once the events of that time were sent again, which replace "
    "themselves"
)
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
    assert [(change.kind, change.object) for change in removed] == [
        ("removed", "feature view b@V1"),
        ("removed", "feature service s"),
    ]
    assert difference(HEAD + view(), "")[0].object == "stream source events"


def test_a_new_version_is_a_new_view() -> None:
    new = view() + view("totals2", ', name="totals", version="V2"' + SUM)
    (change,) = difference(HEAD + view(), HEAD + new)
    assert (change.kind, change.object, change.problem) == ("added", "feature view totals@V2", None)
    assert change.note == f"{EMPTY}; V1 stays beside V2, in a service of its own, to serve both until then"


def test_a_version_that_replaces_another_says_that_it_starts_empty_and_how_both_can_be_served() -> None:
    renamed = view("totals2", ', name="totals", version="V2"' + SUM)
    service = SERVICE.replace("[totals]", "[totals2]")
    first = applied(None, HEAD + view() + SERVICE, number=1)
    second = applied(first, HEAD + renamed + service, number=2)
    removed, added, changed = changes(first, second)
    assert (removed.kind, removed.object) == ("removed", "feature view totals@V1")
    keep = "keep V1 in the repository beside V2, in a service of its own, to serve both until then"
    assert added == Change("added", "feature view totals@V2", note=f"{EMPTY}; {keep}")
    note = "answers with what starts empty from now on: totals@V2"
    assert changed == Change("changed", "feature service s", "totals@V2", note=note)


def test_an_attribute_view_that_starts_empty_says_so() -> None:
    (change,) = difference(HEAD + view(), HEAD + view() + view("newest", ""))
    assert change.note == (
        "starts empty: a key has values from its next event on, or once its newest was sent again, which replaces "
        "itself"
    )


@pytest.mark.parametrize(
    ("new", "detail"),
    [
        (view(body="return None"), "code"),
        (view(options=SUM + ", grace=hour"), "horizon, grace"),
        (
            view(options=', features=[Aggregate("min", "x", hour)]'),
            "features (+x_min_1h_continuous, -x_sum_1h_continuous), partials",
        ),
        (
            view(options=', features=[Aggregate("sum", "x", 2 * hour, name="x_sum_1h_continuous")]'),
            "features (~x_sum_1h_continuous), resolutions, horizon",
        ),
        (view(options=SUM + ", offline=False"), "offline"),
    ],
)
def test_an_applied_version_never_changes_in_place(new: str, detail: str) -> None:
    expected = [Change("changed", "feature view totals@V1", detail, IN_PLACE)]
    assert difference(HEAD + view(), HEAD + new) == expected


def test_columns_that_change_in_place_are_named() -> None:
    old, new = (f', schema=[Field("x", Float64), Field("{name}", Int64)]' for name in ("y", "z"))
    (found,) = difference(HEAD + view(options=old), HEAD + view(options=new))
    assert (found.detail, found.problem) == ("columns (+z, -y), features (+z, -y)", IN_PLACE)
    other = ', schema=[Field("y", Int64), Field("x", Float64)]'
    (found,) = difference(HEAD + view(options=old), HEAD + view(options=other))
    assert found.detail == "columns"


GROWN = HEAD.replace('Field("at"', 'Field("more", String, required=False), Field("at"')


def grown(*views: str) -> list[Change]:
    before = plan_of({"views.py": HEAD + "".join(views)})
    repository = load_repository({"views.py": GROWN + "".join(views)}, "repo")
    sources = compile_sources(repository, 4)
    compiled = carry_ids(before, compile_views(repository, sources, applied=before.views))
    return changes(before, msgspec.structs.replace(before, sources=sources, views=compiled))


def test_a_source_that_grows_says_which_attribute_views_go_on_without_the_field() -> None:
    (change,) = grown(view("newest", ""), view("other", ""), view())
    assert change.detail == "more"
    assert change.note == (
        "applied versions keep the columns that they have: newest@V1, other@V1; new versions take what their schema "
        "names, or all fields"
    )
    (change,) = grown(view())
    assert change.note == ""


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


BOTH = view() + view("b")
KEPT = (
    "it is still computed for 7 days of running time, in which the same definition takes it up again without a gap; "
    "then its online state is deleted"
)
ENDED = "it is computed no longer and its online state is deleted, at once"


def applied(current: Plan | None, files: str, *, number: int, now: bool = False) -> Plan:
    """What an apply of a repository publishes after another plan; new views get ids from a hundred times its number."""
    new = plan_of({"views.py": files}, number)
    views = carry_ids(current, {key: msgspec.structs.replace(each, id=-1) for key, each in new.views.items()})
    ids = {key: view.id if view.id >= 0 else number * 100 + place for place, (key, view) in enumerate(views.items())}
    numbered = {key: msgspec.structs.replace(view, id=ids[key]) for key, view in views.items()}
    new = msgspec.structs.replace(new, views=numbered)
    return new if now else retire(current, new, 7 * DAY_SECONDS)


def test_a_removal_says_what_is_lost() -> None:
    first = applied(None, HEAD + BOTH + SERVICE, number=1)
    shorter = applied(first, HEAD + view(), number=2)
    assert changes(first, shorter) == [
        Change("removed", "feature view b@V1", lost=f"features x_sum_1h_continuous; {KEPT}"),
        Change(
            "removed",
            "feature service s",
            lost="requests for it are refused; it answers with totals.x_sum_1h_continuous",
        ),
    ]
    source, *_ = changes(shorter, applied(shorter, "", number=3))
    reading = "b@V1, totals@V1 read it until then"
    assert source.lost == f"no longer takes records over HTTP; its topic stays; {reading}"
    now, _ = changes(first, applied(first, HEAD + view(), number=2, now=True))
    assert now.lost == f"features x_sum_1h_continuous; {ENDED}"


def test_many_lost_features_are_not_all_listed() -> None:
    many = ", ".join(f'Aggregate("sum", "x", hour, name="f{number:02}")' for number in range(13))
    (change, *_) = difference(HEAD + view() + view("b", f", features=[{many}]"), HEAD + view())
    assert change.lost.startswith("features f00, f01, f02, f03, f04, f05, f06, f07, f08, f09 and 3 more; ")


def test_a_removed_view_is_retired_with_all_that_it_runs_from() -> None:
    first = applied(None, HEAD + BOTH, number=1)
    second = applied(first, HEAD + view(), number=2)
    retired = second.retired["b@V1"]
    assert (retired.view, retired.source) == (first.views["b@V1"], first.sources["events"])
    assert (second.repositories[retired.texts], retired.since, retired.grace) == (first.files, 1, 604_800)
    assert list(second.views) == ["totals@V1"]
    assert list(second.folded_views()) == ["totals@V1", "b@V1"]
    third = applied(second, "", number=3)
    assert {key: each.since for key, each in third.retired.items()} == {"b@V1": 1, "totals@V1": 2}
    assert third.repositories == {first.digest: first.files, second.digest: second.files}
    assert (third.sources, third.read_sources()) == ({}, first.sources)
    assert changes(third, applied(third, "", number=4)) == []


def test_views_that_were_removed_together_share_their_texts() -> None:
    first = applied(None, HEAD + BOTH, number=1)
    second = applied(first, "", number=2)
    assert (len(second.retired), second.repositories) == (2, {first.digest: first.files})


def test_the_same_definition_takes_a_retired_view_up_again() -> None:
    first = applied(None, HEAD + BOTH, number=1)
    second = applied(first, HEAD + view(), number=2)
    third = applied(second, HEAD + "# back\n" + BOTH, number=3)
    assert third.views == first.views
    assert (third.retired, third.repositories) == ({}, {})
    detail = "goes on with the state that was kept since its removal"
    assert changes(second, third) == [Change("added", "feature view b@V1", detail)]
    assert applied(third, HEAD + view(), number=4).retired["b@V1"].since == 3


def test_another_definition_of_a_retired_view_is_refused_unless_the_old_one_ends() -> None:
    first = applied(None, HEAD + BOTH, number=1)
    second = applied(first, HEAD + view(), number=2)
    other = HEAD + view() + view("b", ', features=[Aggregate("min", "x", hour)]')
    (change,) = changes(second, applied(second, other, number=3))
    assert (change.kind, change.object, change.detail) == ("added", "feature view b@V1", "features, partials")
    assert change.problem is not None
    assert "give the view a new version, or end the removed one with --allow-removals=now" in change.problem
    third = applied(second, other, number=3, now=True)
    assert third.views["b@V1"].id != first.views["b@V1"].id
    assert changes(second, third) == [
        Change("removed", "feature view b@V1 (retired)", lost=ENDED),
        Change("added", "feature view b@V1", note=EMPTY),
    ]


def test_retired_views_end_where_nothing_else_changes() -> None:
    first = applied(None, HEAD + BOTH, number=1)
    second = applied(first, HEAD + view(), number=2)
    third = applied(second, HEAD + view(), number=3, now=True)
    assert changes(second, third) == [Change("removed", "feature view b@V1 (retired)", lost=ENDED)]
    assert third.retired == {}


def test_a_source_that_comes_back_must_fit_the_retired_views_that_read_it() -> None:
    first = applied(None, HEAD + view(), number=1)
    second = applied(first, "", number=2)
    narrower = HEAD.replace(', Field("tags", Array(String), required=False)', "") + view()
    grown = HEAD.replace('Field("at"', 'Field("more", String, required=False), Field("at"') + view()
    source, _ = changes(second, applied(second, narrower, number=3))
    assert (source.kind, source.detail, source.problem) == ("added", "tags", ONLY_GROW)
    assert [change.problem for change in changes(second, applied(second, grown, number=3))] == [None, None]
    none_kept = applied(second, HEAD.replace('"x", Float64', '"x", Int64') + view("c"), number=3, now=True)
    assert [change.problem for change in changes(second, none_kept)] == [None, None, None]


def test_a_retired_view_follows_its_source_as_it_grows() -> None:
    first = applied(None, HEAD + BOTH, number=1)
    grown = HEAD.replace('Field("at"', 'Field("more", String, required=False), Field("at"') + view()
    second = applied(first, grown, number=2)
    third = applied(second, "", number=3)
    assert third.retired["b@V1"].source == third.retired["totals@V1"].source == second.sources["events"]


def test_a_changed_identity_is_for_new_versions_and_says_which_keep_theirs() -> None:
    old, new = (WITH_IDENTITY.format(identity) + view() for identity in ("[]", '["order", "line"]'))
    second = new + view("second", ', name="totals", version="V2"' + SUM)
    (source, *_) = difference(old, second)
    assert source == Change(
        "changed",
        "stream source events",
        "identity order, line (was none)",
        note="applied versions keep the identity that they have: totals@V1; new versions take this one",
    )
    (source, *_) = changes(plan_of({"views.py": WITH_IDENTITY.format('["order"]')}), plan_of({"views.py": old}))
    assert (source.detail, source.note) == ("identity none (was order)", "")
