from hypothesis import given
from hypothesis import strategies as st

from processors.materialize.held_clock import MAX_STEP, SAVE_EVERY, HeldClock, Reading, look
from schemas.instants import DAY, HOUR, MINUTE, SECOND
from tests.support.histories import BASE, examples

HOLD = 24 * HOUR


class Host:
    """A host that runs, and whose clock can be set."""

    def __init__(self) -> None:
        self.clock = BASE
        self.running = 0.0

    def run(self, micros: int) -> None:
        self.clock += micros
        self.running += micros / SECOND

    def process(self, saved: bytes | None = None, hold: int = HOLD) -> HeldClock:
        return HeldClock(saved, hold=hold, host=lambda: self.clock, running=lambda: self.running)


def test_a_clock_that_runs_is_followed() -> None:
    host = Host()
    clock = host.process()
    for length in (0, 1, SECOND, 30 * DAY):
        host.run(length)
        assert clock.read() == Reading(host.clock, host.clock)


def test_a_step_of_an_hour_is_followed_and_a_longer_one_is_held() -> None:
    host = Host()
    clock = host.process()
    clock.read()
    host.clock += MAX_STEP
    assert clock.read().held == host.clock
    before = host.clock
    host.clock += MAX_STEP + 1
    assert (clock.read().held, clock.read().ahead) == (before, MAX_STEP + 1)


def test_a_held_clock_goes_on_with_running_time_and_follows_after_the_whole_hold() -> None:
    host = Host()
    clock = host.process()
    clock.read()
    host.clock += 30 * DAY
    clock.read()
    for _ in range(23):
        host.run(HOUR)
        assert clock.read().ahead == 30 * DAY
    host.run(HOUR - 1)
    assert clock.read().held == BASE + 24 * HOUR - 1
    host.run(1)
    assert clock.read() == Reading(host.clock, host.clock)


def test_a_clock_that_is_set_right_is_followed_at_once() -> None:
    host = Host()
    clock = host.process()
    clock.read()
    host.clock += 30 * DAY
    host.run(MINUTE)
    assert clock.read().ahead == 30 * DAY
    host.clock -= 30 * DAY
    assert clock.read() == Reading(BASE + MINUTE, BASE + MINUTE)


def test_a_step_back_is_followed_at_once_also_while_a_step_is_held() -> None:
    host = Host()
    clock = host.process()
    clock.read()
    host.clock -= 30 * DAY
    assert clock.read() == Reading(host.clock, host.clock)
    host.clock += 60 * DAY
    assert clock.read().ahead == 60 * DAY
    host.clock -= 70 * DAY
    assert clock.read() == Reading(host.clock, host.clock)


def test_a_second_step_is_held_anew() -> None:
    host = Host()
    clock = host.process()
    clock.read()
    host.clock += 30 * DAY
    clock.read()
    host.run(23 * HOUR)
    host.clock += 2 * HOUR
    clock.read()
    host.run(23 * HOUR)
    assert clock.read().ahead == 30 * DAY + 2 * HOUR
    host.run(HOUR)
    assert clock.read().ahead == 0


def test_a_process_that_starts_goes_on_with_the_hold_of_the_one_before() -> None:
    host = Host()
    clock = host.process()
    clock.read()
    host.clock += 30 * DAY
    clock.read()
    saved = clock.to_save()
    for _ in range(24):
        clock = host.process(saved)
        assert clock.read().ahead > 0
        host.run(HOUR)
        clock.read()
        saved = clock.to_save()
    assert host.process(saved).read() == Reading(host.clock, host.clock)


def test_a_step_between_two_processes_is_held() -> None:
    host = Host()
    clock = host.process()
    clock.read()
    saved = clock.to_save()
    host.clock += 3 * DAY
    clock = host.process(saved)
    assert clock.read().ahead == 3 * DAY
    host.run(25 * HOUR)
    assert clock.read().ahead == 0


def test_no_step_is_held_where_that_was_chosen() -> None:
    host = Host()
    clock = host.process(hold=0)
    clock.read()
    host.clock += 30 * DAY
    assert clock.read() == Reading(host.clock, host.clock)


def test_it_asks_to_be_saved_at_first_now_and_then_and_when_a_hold_begins_or_ends() -> None:
    host = Host()
    clock = host.process()
    assert clock.to_save() is None

    def asked() -> bool:
        clock.read()
        return clock.to_save() is not None

    assert [asked(), asked()] == [True, False]
    host.run(SAVE_EVERY)
    assert [asked(), asked()] == [True, False]
    host.clock += 30 * DAY
    assert [asked(), asked()] == [True, False]
    host.clock -= 30 * DAY
    assert [asked(), asked()] == [True, False]


LENGTHS = st.sampled_from((0, 1, SECOND, HOUR, HOUR + 1, DAY, DAY + HOUR)) | st.integers(0, 3 * DAY)


@given(st.lists(st.tuples(LENGTHS, st.just(0) | LENGTHS | LENGTHS.map(lambda step: -step)), max_size=30))
@examples(200)
def test_it_is_never_ahead_of_the_host_and_gains_more_than_a_step_only_after_a_whole_hold(
    moves: list[tuple[int, int]],
) -> None:
    reading = look(None, BASE, 0, HOLD)
    since = 0  # running time since the latest step that is not followed
    for elapsed, step in moves:
        host = reading.host + elapsed + step
        after = look(reading, host, elapsed, HOLD)
        since = 0 if step > MAX_STEP else since + elapsed
        assert after.held <= after.host == host
        assert after.held <= reading.held + elapsed + MAX_STEP or since >= HOLD
        reading = after
