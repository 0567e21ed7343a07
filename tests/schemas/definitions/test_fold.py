import msgspec
import pytest

from schemas.definitions.fold import Definitions
from schemas.definitions.plan import Plan, RetiredView
from schemas.definitions.plan_codec import encode, encode_ended, ended_key, plan_key, view_key
from schemas.errors import CodecError
from tests.support.repositories import plan_of, view

TEXT = view() + view("position", "") + 'service = FeatureService(name="s", features=[totals])\n'


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_of(TEXT)


def folded(*messages: tuple[int, bytes, bytes | None]) -> Definitions:
    definitions = Definitions()
    for message in messages:
        definitions.take(*message)
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
    definitions.take(*ended)
    after = definitions.plans["prod"]
    assert before.retired == retired.retired
    assert (list(after.retired), list(after.repositories), after.number) == (["totals@V1"], ["b"], 5)
    definitions.take(8, *ended[1:])
    assert definitions.plans["prod"] is after
    definitions.take(9, plan_key("prod"), encode(retired))  # an apply that had not read of the end
    assert definitions.plans["prod"] == msgspec.structs.replace(after, number=9)


def test_an_end_means_one_retirement_and_no_view_in_force(plan: Plan) -> None:
    first = retiring(plan).retired["position@V1"]
    ended = (ended_key("prod", first.view.id), encode_ended(first))
    again = {"position@V1": msgspec.structs.replace(first, since=6)}
    later = msgspec.structs.replace(plan, views={}, retired=again, repositories={"a": {}})
    in_force = folded((5, plan_key("prod"), encode(plan)), (6, *ended))
    assert in_force.plans["prod"] == msgspec.structs.replace(plan, number=5)
    in_force.take(8, plan_key("prod"), encode(later))
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
            definitions.take(9, key, b"{}")
    assert definitions.plans["prod"].number == 1
    assert (definitions.views, definitions.workspace_of) == ({}, {})
