import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.consumer.assignment import Where
from processors.consumer.partition_states import Event, PartitionStates, Pauses, State, after, is_read

A, B, C = ("prod.updates", 0), ("prod.updates", 1), ("prod.updates", 2)

WAYS: list[tuple[list[Event], State]] = [
    ([Event.GIVEN], State.WAITING),
    ([Event.GIVEN, Event.GIVEN], State.WAITING),
    ([Event.GIVEN, Event.FAILED], State.WAITING),
    ([Event.GIVEN, Event.FAILED, Event.TAKEN], State.READ),
    ([Event.GIVEN, Event.TAKEN, Event.WAITS], State.HELD),
    ([Event.GIVEN, Event.TAKEN, Event.WAITS, Event.GOES_ON], State.READ),
    ([Event.GIVEN, Event.UNWANTED], State.UNREAD),
    ([Event.GIVEN, Event.UNWANTED, Event.GIVEN], State.WAITING),
]


@pytest.mark.parametrize(("events", "state"), WAYS)
def test_a_partition_goes_its_way(events: list[Event], state: State) -> None:
    found: State | None = None
    for event in events:
        found = after(found, event)
    assert found is state


def test_nothing_else_can_happen_to_a_partition() -> None:
    possible = {
        (None if number == 0 else after_all(events[:number]), event)
        for events, _ in WAYS
        for number, event in enumerate(events)
    }
    for state, event in itertools.product([None, *State], Event):
        if (state, event) not in possible:
            with pytest.raises(RuntimeError, match=event.value):
                after(state, event)


def after_all(events: list[Event]) -> State | None:
    found: State | None = None
    for event in events:
        found = after(found, event)
    return found


def test_one_that_failed_is_tried_last_and_why_is_known_until_it_is_taken_or_taken_away() -> None:
    states = PartitionStates()
    for where in (A, B, C):
        states.note(where, Event.GIVEN)
    states.note(A, Event.FAILED, "kept by another process")
    states.note(B, Event.FAILED, "no answer")
    assert states.waiting() == [C, A, B]
    assert [states.why(where) for where in (C, A, B)] == [None, "kept by another process", "no answer"]
    states.note(A, Event.TAKEN)
    states.drop([B])
    assert (states.waiting(), states.why(A), states.why(B), states.state(B)) == ([C], None, None, None)


def pauses(*, begun: Iterable[Where] = (), ended: Iterable[Where] = ()) -> Pauses:
    return Pauses(frozenset(begun), frozenset(ended))


def test_only_a_change_of_what_is_read_is_told_to_the_client() -> None:
    states = PartitionStates()
    for where, event in ((A, Event.TAKEN), (B, Event.TAKEN), (C, Event.UNWANTED)):
        states.note(where, Event.GIVEN)
        states.note(where, event)
    assert states.pauses() == pauses()
    states.note_waits({A: True, B: False})
    assert states.pauses() == pauses(begun={A})
    states.holding = True
    assert states.pauses() == pauses(begun={B})
    assert states.pauses() == pauses()
    states.note_waits({A: False, B: False})
    states.holding = False
    assert states.pauses() == pauses(ended={A, B})


def test_one_that_was_paused_and_comes_back_is_read() -> None:
    states = PartitionStates()
    for event in (Event.GIVEN, Event.TAKEN, Event.WAITS):
        states.note(A, event)
    states.pauses()
    states.drop([A])
    for event in (Event.GIVEN, Event.TAKEN):
        states.note(A, event)
    assert states.pauses() == pauses()  # who assigns it resumes it
    states.note(A, Event.WAITS)
    assert states.pauses() == pauses(begun={A})


steps = st.lists(st.tuples(st.sampled_from([A, B, C]), st.sampled_from([*Event, "away", "hold", "let"])), max_size=40)


@given(steps)
def test_a_client_that_does_what_it_is_told_reads_what_is_to_be_read(steps: list[tuple[Where, Event | str]]) -> None:
    states = PartitionStates()
    assigned: dict[Where, bool] = {}  # of the client: whether it reads it
    for where, step in steps:
        if isinstance(step, Event):
            try:
                states.note(where, step)
            except RuntimeError:
                continue
            if step is Event.TAKEN:
                assigned[where] = True
        elif step == "away":
            states.drop([where])
            assigned.pop(where, None)
        else:
            states.holding = step == "hold"
        begun, ended = states.pauses()
        assert not begun & ended
        assigned |= dict.fromkeys(begun, False) | dict.fromkeys(ended, True)
        owned = {at: states.state(at) for at in (A, B, C) if states.state(at) in {State.READ, State.HELD}}
        assert assigned == {
            at: state is not None and is_read(state, holding=states.holding) for at, state in owned.items()
        }
        assert all(reads is (owned[at] is State.READ and not states.holding) for at, reads in assigned.items())
