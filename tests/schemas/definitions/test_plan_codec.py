import msgspec
import pytest

from schemas.definitions.changes import retire
from schemas.definitions.plan import IDENTITY_PLAN_FORMAT, PLAN_FORMAT, Plan
from schemas.definitions.plan_codec import decode_ended, decode_plan, decode_view, encode
from schemas.errors import CodecError
from tests.support.repositories import WITH_IDENTITY, plan_of, view

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


@pytest.mark.parametrize(
    ("other", "remedy"),
    [(IDENTITY_PLAN_FORMAT + 1, "upgrade Headrace"), (PLAN_FORMAT - 1, "run `headrace apply` again with this version")],
)
def test_a_plan_of_another_format_says_what_to_do(plan: Plan, other: int, remedy: str) -> None:
    with pytest.raises(CodecError, match=f"plan 3 has format {other}, expected 3 or 4; {remedy}"):
        decode_plan(3, encode(msgspec.structs.replace(plan, format=other)))


@pytest.mark.parametrize(("form", "remedy"), [(2, "upgrade Headrace"), (0, "run `headrace apply` again")])
def test_other_formats_of_views_and_ends_say_what_to_do(form: int, remedy: str) -> None:
    with pytest.raises(CodecError, match=f"view message 3 has format {form}, expected 1; {remedy}"):
        decode_view(3, msgspec.json.encode({"format": form, "more": 1}))
    with pytest.raises(CodecError, match=f"message of an end has format {form}, expected 1; {remedy}"):
        decode_ended(msgspec.json.encode({"format": form}))


def test_an_end_that_says_no_plan_is_refused() -> None:
    with pytest.raises(CodecError, match="the message of an end does not decode"):
        decode_ended(b'{"format":1}')


def test_a_plan_with_what_this_version_does_not_know_is_a_later_ones(plan: Plan) -> None:
    view_plan = plan.views["totals@V1"]
    feature = msgspec.structs.replace(view_plan.features[0], function="later")
    partial = msgspec.structs.replace(view_plan.partials[0], kind="later")
    for changed in (
        msgspec.structs.replace(view_plan, features=(feature,)),
        msgspec.structs.replace(view_plan, partials=(partial,)),
    ):
        later = msgspec.structs.replace(plan, views={**plan.views, "totals@V1": changed})
        with pytest.raises(CodecError, match=r"plan 3 is of a later version: .*(unknown function|does not know)"):
            decode_plan(3, encode(later))


def test_what_has_the_format_and_nothing_else_is_refused() -> None:
    with pytest.raises(CodecError, match="plan 3 does not decode"):
        decode_plan(3, msgspec.json.encode({"format": PLAN_FORMAT}))
    with pytest.raises(CodecError, match="view message 3 does not decode"):
        decode_view(3, b'{"format":1}')


def test_a_plan_is_of_the_later_format_only_where_a_source_or_a_view_has_an_identity(plan: Plan) -> None:
    text = WITH_IDENTITY + view()
    plain, identified = (plan_of({"views.py": text.format(identity)}) for identity in ("[]", '["order"]'))
    kept = msgspec.structs.replace(plain, views=identified.views)
    retired = retire(identified, msgspec.structs.replace(plain, views={}), 1.0)
    formats = [msgspec.json.decode(encode(each))["format"] for each in (plan, plain, identified, kept, retired)]
    assert formats == [PLAN_FORMAT, PLAN_FORMAT, *[IDENTITY_PLAN_FORMAT] * 3]
    assert decode_plan(3, encode(identified)).views == identified.views
