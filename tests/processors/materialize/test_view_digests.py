import msgspec

from processors.materialize.fold import ViewState, materialize
from processors.materialize.view_digests import take_up
from schemas.definitions.plan import ViewPlan, view_digest
from schemas.messages.updates import UpdateMessage
from schemas.state.keys import digest_key, meta_key, row_prefix, tile_prefix, watermark_key
from tests.support import oracle
from tests.support.histories import BASE, Arrival, compiled, update_of
from tests.support.memory_state import MemoryState

SUM = 'aggregation_interval=timedelta(minutes=1), features=[Aggregate("sum", "x", timedelta(hours=1))]'
EMPTY = {"flag": None, "text": None, "whole": None, "x": None, "y": None}


def fold(view: ViewPlan, state: MemoryState) -> None:
    event = oracle.Event(view.id, ("a", 1), BASE, (BASE // 1000, 0, 0, 0), EMPTY | {"x": 1.0})
    messages = [UpdateMessage(0, update_of(view, [Arrival(event)]))]
    state.write(materialize({view.id: ViewState(view)}, state, messages, 1).writes)


def held(view: int, state: MemoryState) -> list[bytes]:
    """Returns the keys that belong to a view, but for the digest."""
    return [
        key
        for key in state.entries
        if key.startswith((row_prefix(view, b""), tile_prefix(view, b""))) or key == watermark_key(view)
    ]


def test_a_view_that_is_known_keeps_what_it_has_and_nothing_is_written() -> None:
    (view,) = compiled({"totals": SUM})
    state = MemoryState()
    assert take_up([view], state) == []
    assert state.entries[digest_key(view.id)] == view_digest(view)
    fold(view, state)
    before = dict(state.entries)
    assert take_up([view], state) == []
    assert dict(state.entries) == before


def test_what_another_view_left_under_an_id_goes_and_the_neighbours_stays() -> None:
    views = compiled({"a": SUM, "b": SUM, "c": SUM})
    state = MemoryState({meta_key("next_offset"): b"\x01"})
    take_up(views, state)
    for view in views:
        fold(view, state)
    kept = {key: value for key, value in state.entries.items() if key not in held(2, state)}
    other = msgspec.structs.replace(views[1], grace=0)
    assert take_up([views[0], other, views[2]], state) == [other]
    assert held(2, state) == []
    assert dict(state.entries) == kept | {digest_key(2): view_digest(other)}


def test_rows_without_a_name_are_nobodys() -> None:
    (view,) = compiled({"totals": SUM})
    state = MemoryState()
    fold(view, state)
    assert take_up([view], state) == [view]
    assert held(view.id, state) == []


def test_a_watermark_alone_goes_too() -> None:
    (view,) = compiled({"totals": SUM})
    state = MemoryState({watermark_key(view.id): b"\x01", digest_key(view.id): bytes(32)})
    assert take_up([view], state) == []
    assert held(view.id, state) == []
