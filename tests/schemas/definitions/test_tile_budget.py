import pytest

from schemas.definitions import tile_budget
from schemas.definitions.plan import ViewPlan
from schemas.errors import DefinitionError, RecordError
from schemas.limits import MAX_IDENTITY_BYTES, MAX_TILE_BYTES, MIN_TEXT_BYTES
from schemas.messages.updates import encode
from schemas.records.rows import compile_row_builder
from tests.schemas.records.test_rows import AT
from tests.support.repositories import WITH_IDENTITY, view, view_plan
from tests.support.repositories import plan_of as plans_of

COLUMNS = ', schema=[Field("url", String), Field("name", String), Field("note", String), Field("count", Int64)]'


def plan_of(*aggregates: str) -> ViewPlan:
    return view_plan(view(options=f"{COLUMNS}, features=[{', '.join(aggregates)}]"))


def test_texts_share_what_a_tile_may_hold() -> None:
    plan = plan_of('Aggregate("last", "url", hour, n=1000)', 'Aggregate("max", "name", hour)')
    assert set(tile_budget.kept_texts(plan)) == {"url", "name"}
    assert tile_budget.text_limit(plan) == (MAX_TILE_BYTES - 18 * 1001) // 1001


def test_what_tiles_do_not_keep_has_no_share() -> None:
    plan = plan_of('Aggregate("count", "url", hour)', 'Aggregate("last", "count", hour, n=9)')
    assert tile_budget.kept_texts(plan) == ()


def test_functions_that_share_a_partial_take_its_room_once() -> None:
    once = plan_of('Aggregate("last", "url", hour, n=1000)')
    twice = plan_of('Aggregate("last", "url", hour, n=1000)', 'Aggregate("last", "url", hour * 2, n=1000)')
    assert tile_budget.text_limit(once) == tile_budget.text_limit(twice)


def test_the_longest_texts_that_are_taken_fill_no_tile_beyond_its_limit() -> None:
    plan = plan_of('Aggregate("last", "url", hour, n=1000)', 'Aggregate("min", "name", hour)')
    build = compile_row_builder(plan)
    text = "x" * tile_budget.text_limit(plan)
    names = [column.name for column in plan.columns]
    _, at, values = build({"user": "u", "at": AT, "url": text, "name": text, "note": "", "count": 2**63 - 1})
    partials = [
        partial.bound().lift(range(at, at + 2000), [values[names.index(partial.column)]] * 2000)
        for partial in plan.partials
    ]
    assert 0.9 * MAX_TILE_BYTES < len(encode(partials)) <= MAX_TILE_BYTES


def test_a_longer_text_is_refused_with_its_column_and_both_sizes() -> None:
    plan = plan_of('Aggregate("last", "url", hour, n=1000)')
    row = {"user": "u", "at": AT, "url": "é" * 600, "name": "x" * 5000, "note": "", "count": 1}
    with pytest.raises(RecordError) as failure:
        compile_row_builder(plan)(row)
    assert failure.value.message == (
        "view 'totals': column 'url': expected at most 1,030 bytes of text, as its features keep 1,048,576 bytes in a "
        "tile, the function returned 1,200 bytes"
    )


def test_a_view_whose_tiles_could_hold_no_texts_of_use_is_refused() -> None:
    columns = ", ".join(f'Field("c{number}", String)' for number in range(20))
    features = ", ".join(f'Aggregate("last", "c{number}", hour, n=1000)' for number in range(20))
    with pytest.raises(DefinitionError) as failure:
        view_plan(view(options=f", schema=[{columns}], features=[{features}]"))
    assert "its features keep 20,000 values in each tile" in failure.value.message
    assert "1,048,576 bytes that a tile may have; lower n, or move features to another view" in failure.value.message


def test_numbers_alone_can_be_too_many_too() -> None:
    columns = ", ".join(f'Field("c{number}", Int64)' for number in range(60))
    features = ", ".join(f'Aggregate("last", "c{number}", hour, n=1000)' for number in range(60))
    with pytest.raises(DefinitionError, match="its features keep 60,000 values in each tile"):
        view_plan(view(options=f", schema=[{columns}], features=[{features}]"))


@pytest.mark.parametrize(("values", "limit"), [(12_787, MIN_TEXT_BYTES), (12_788, None)])
def test_texts_of_the_least_length_of_use_are_still_taken(values: int, limit: int | None) -> None:
    ns = [*range(1000, 988, -1), values - sum(range(1000, 988, -1))]
    aggregates = [f'Aggregate("last", "url", hour, n={n})' for n in ns]
    if limit is None:
        with pytest.raises(DefinitionError, match=f"its features keep {values:,} values in each tile"):
            plan_of(*aggregates)
    else:
        assert tile_budget.text_limit(plan_of(*aggregates)) == limit


def test_an_identity_may_stand_beside_each_value_that_a_tile_keeps() -> None:
    options = f"{COLUMNS}, features=[Aggregate('last', 'url', hour, n=1000)]"
    plan = plans_of({"views.py": WITH_IDENTITY.format('["order"]') + view(options=options)}).views["totals@V1"]
    assert tile_budget.text_limit(plan) == (MAX_TILE_BYTES - (18 + MAX_IDENTITY_BYTES) * 1000) // 1000
