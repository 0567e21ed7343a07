from headrace.inspection.outcomes import explanations, lines, summed
from tests.support.repositories import plan_of, view

VIEWS = plan_of(view() + view("others")).views


def test_counts_are_summed_over_processors_for_one_workspace() -> None:
    first = {"prod": {"b@V1": {"new": 1, "late": 2}}, "staging": {"b@V1": {"new": 9}}}
    second = {"prod": {"b@V1": {"new": 4}, "a@V1": {"dropped": 3}}}
    found = summed([first, second, {}], "prod")
    assert found == {"a@V1": {"dropped": 3}, "b@V1": {"new": 5, "late": 2}}
    assert list(found) == ["a@V1", "b@V1"]
    assert summed([first], "empty") == {}


def test_a_table_has_a_row_for_each_view_and_leaves_no_outcome_out() -> None:
    assert lines({"a@V1": {"zz": 1, "new": 5, "equal": 0}, "b@V1": {"late": 2}}) == (
        ["view", "new", "late", "zz"],
        [["a@V1", 5, 0, 1], ["b@V1", 0, 2, 0]],
    )


def test_what_has_happened_and_needs_words_gets_them() -> None:
    assert explanations({"totals@V1": {"new": 5, "late": 0}}, VIEWS) == []
    (late,) = explanations({"totals@V1": {"late": 2}, "others@V1": {"new": 1}, "gone@V1": {"late": 1}}, VIEWS)
    assert late.startswith("late: older than the view's horizon when Kafka took them; kept in the offline log")
    assert late.endswith("counted in no feature (horizons: totals@V1 7 days 1 hour 5 minutes)"), late
    (replaced,) = explanations({"gone@V1": {"replaced": 1}}, VIEWS)
    assert replaced.startswith("replaced: same join keys, timestamp and identity columns as an earlier event")
