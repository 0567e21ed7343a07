from hypothesis import given
from hypothesis import strategies as st

from schemas.definitions.ids import defined_id
from tests.support.histories import examples

PARTS = st.lists(st.text("ab1:\x00", max_size=4), min_size=4, max_size=4)


def test_an_id_is_the_same_in_every_process_and_version() -> None:
    assert defined_id("i1", "prod", "feature_service", "fraud") == "1f09549c218c1f7858bfa26443d8c420"
    assert defined_id("i1", "prod", "feature_view", "spent", "V1") != defined_id("i1", "prod", "feature_view", "spent")


def test_kinds_have_ids_of_their_own() -> None:
    ids = {
        defined_id("i1", "prod", "feature_service", "a"),
        defined_id("i1", "prod", "feature_view", "a"),
        defined_id("i1", "prod", "stream_source", "a"),
    }
    assert len(ids) == 3
    assert {len(each) for each in ids} == {32}


@given(PARTS, PARTS)
@examples(200)
def test_what_differs_anywhere_has_another_id(one: list[str], other: list[str]) -> None:
    ids = [
        defined_id(installation, workspace, "feature_view", name, version)
        for installation, workspace, name, version in (one, other)
    ]
    assert (ids[0] == ids[1]) == (one == other)
