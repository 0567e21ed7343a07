"""Retention, its clock, and the grace of removed views."""

from typing import Final

from tests.mutations.mutation import Mutation

MUTATIONS: Final = (
    Mutation(
        name="retention-without-its-day",
        file="processors/materialize/retention.py",
        old="return end <= now - view.horizon - DAY",
        new="return end <= now - view.horizon",
        why="an event at the last moment of the horizon would find half of its tile",
        tests=(
            "tests/processors/materialize/test_retention.py::test_rows_and_tiles_of_aggregates_go_a_day_after_the_horizon",
        ),
    ),
    Mutation(
        name="retention-deletes-everything",
        file="processors/materialize/retention.py",
        old="return end <= now - view.horizon - DAY",
        new="return True",
        why="a sweep would empty all windows",
        tests=("tests/simulation/test_simulation.py::test_quick_histories_keep_the_invariants",),
    ),
    Mutation(
        name="retention-by-the-wall-clock",
        file="processors/materialize/retention.py",
        old="min(now, decode_number(watermark))",
        new="now",
        why="windows that end at the latest event of a quiet stream would lose their rows",
        tests=("tests/processors/materialize/test_retention.py::test_a_quiet_stream_loses_nothing_however_long",),
    ),
    Mutation(
        name="retention-by-the-watermark-alone",
        file="processors/materialize/retention.py",
        old="min(now, decode_number(watermark))",
        new="decode_number(watermark)",
        why="an event with a wrong clock would have everything deleted",
        tests=("tests/processors/materialize/test_retention.py::test_a_watermark_ahead_of_the_host_makes_nothing_old",),
    ),
    Mutation(
        name="retention-removed-view-stays",
        file="processors/materialize/retention.py",
        old=("    if view is None:\n        return True\n"),
        new=("    if view is None:\n        return False\n"),
        why="online state of removed views would stay for ever",
        tests=(
            "tests/processors/materialize/test_retention.py::test_all_of_a_view_that_left_the_plan_goes_and_nothing_else",
        ),
    ),
    Mutation(
        name="retention-tile-deleted-by-its-start",
        file="processors/materialize/retention.py",
        old="resolution_of(key) if space == TILES else 1",
        new="1",
        why="a wide tile would go while windows still need its end",
        tests=(
            "tests/processors/materialize/test_retention.py::test_rows_and_tiles_of_aggregates_go_a_day_after_the_horizon",
        ),
    ),
    Mutation(
        name="retention-ttl-without-grace",
        file="processors/materialize/retention.py",
        old="time < now - view.ttl - view.grace - _LEEWAY",
        new="time < now - view.ttl - _LEEWAY",
        why="a row that arrives late would be deleted before it was ever served",
        tests=(
            "tests/processors/materialize/test_retention.py::test_the_newest_row_goes_once_ttl_and_grace_have_passed_it",
        ),
    ),
    Mutation(
        name="retention-newest-row-deleted",
        file="processors/materialize/retention.py",
        old="following[WITHOUT_TIME] == key[WITHOUT_TIME] and ",
        new="",
        why="a key whose last event is old would have no attributes any more",
        tests=("tests/processors/materialize/test_retention.py::test_the_newest_row_stays_for_ever_without_a_ttl",),
    ),
    Mutation(
        name="retention-superseded-too-early",
        file="processors/materialize/retention.py",
        old="time_of(following) <= now - _LEEWAY",
        new="time_of(following) <= now",
        why="a read at a clock that came back would find neither row",
        tests=(
            "tests/processors/materialize/test_retention.py::test_a_superseded_row_stays_until_no_clock_that_was_ahead_can_come_back_before_the_newer_one",
        ),
    ),
    Mutation(
        name="retention-last-key-never-judged",
        file="processors/materialize/retention.py",
        old="pairwise([*keys, _END] if ended else keys)",
        new="pairwise(keys)",
        why="the last key of a partition would stay for ever",
        tests=(
            "tests/processors/materialize/test_retention.py::test_all_of_a_view_that_left_the_plan_goes_and_nothing_else",
        ),
    ),
    Mutation(
        name="clock-step-followed-at-once",
        file="processors/materialize/held_clock.py",
        old="if host - held <= MAX_STEP or ran >= hold:",
        new="if host - held <= MAX_STEP or ran <= hold:",
        why="a host whose clock jumps a year ahead would delete all of state",
        tests=(
            "tests/processors/materialize/test_held_clock.py::test_a_step_of_an_hour_is_followed_and_a_longer_one_is_held",
        ),
    ),
    Mutation(
        name="clock-small-step-held",
        file="processors/materialize/held_clock.py",
        old="if host - held <= MAX_STEP or",
        new="if host - held < MAX_STEP or",
        why="LOST comparison: a step of exactly an hour would be held for a day",
        tests=(
            "tests/processors/materialize/test_held_clock.py::test_a_step_of_an_hour_is_followed_and_a_longer_one_is_held",
        ),
    ),
    Mutation(
        name="clock-held-for-ever",
        file="processors/materialize/held_clock.py",
        old="ran >= hold:",
        new="ran > hold:",
        why="LOST comparison: a hold would last longer than it was told to",
        tests=(
            "tests/processors/materialize/test_held_clock.py::test_a_held_clock_goes_on_with_running_time_and_follows_after_the_whole_hold",
        ),
    ),
    Mutation(
        name="clock-second-step-rides-on-the-first",
        file="processors/materialize/held_clock.py",
        old="ran = 0 if host - last.host - elapsed > MAX_STEP else last.ran + elapsed",
        new="ran = last.ran + elapsed",
        why="a second step would be believed when the first one's hold ends",
        tests=("tests/processors/materialize/test_held_clock.py::test_a_second_step_is_held_anew",),
    ),
    Mutation(
        name="clock-hold-not-saved",
        file="processors/materialize/held_clock.py",
        old="if held == before and (self._looked",
        new="if (self._looked",
        why="a restart in the first minute would believe the step",
        tests=(
            "tests/processors/materialize/test_held_clock.py::test_it_asks_to_be_saved_at_first_now_and_then_and_when_a_hold_begins_or_ends",
        ),
    ),
    Mutation(
        name="retirement-sleep-counts",
        file="processors/materialize/retirements.py",
        old="min(now - self._last, LONGEST_TICK_SECONDS)",
        new="now - self._last",
        why="a laptop that slept would use up the grace of removed views",
        tests=("tests/processors/materialize/test_retirements.py::test_a_machine_that_slept_has_not_run",),
    ),
    Mutation(
        name="retirement-second-removal-goes-on",
        file="processors/materialize/retirements.py",
        old="seconds + passed if since == each.since else 0.0",
        new="seconds + passed",
        why="a view that came back and was removed again would end too early",
        tests=(
            "tests/processors/materialize/test_retirements.py::test_a_view_that_came_back_and_went_while_nothing_ran_begins_anew",
        ),
    ),
    Mutation(
        name="retirement-told-once",
        file="processors/materialize/retirements.py",
        old="now - told < TELL_AGAIN_SECONDS",
        new="now - told >= 0",
        why="an end that Kafka lost would never be told again",
        tests=("tests/processors/materialize/test_retirements.py::test_an_end_that_is_not_heard_is_told_again",),
    ),
    Mutation(
        name="retirement-not-written",
        file="processors/materialize/retirements.py",
        old="if gone or now - self._written >= WRITE_SECONDS:",
        new="if gone:",
        why="each restart would begin the grace anew",
        tests=(
            "tests/processors/materialize/test_retirements.py::test_only_time_in_which_the_partition_was_owned_counts",
        ),
    ),
    Mutation(
        name="retention-takes-identity-for-time",
        file="processors/materialize/retention.py",
        old="    if view.identity and space == ROWS:",
        new="    if view.identity and space == TILES:",
        why="rows of views with identity would be kept for ever, or deleted while they are served",
        tests=(
            "tests/processors/materialize/test_retention.py::test_of_one_instant_the_rows_before_the_newest_go_and_each_is_as_old_as_its_time",
            "tests/processors/materialize/test_retention.py::test_rows_of_aggregates_with_identity_go_when_those_without_do",
        ),
    ),
    Mutation(
        name="retention-compares-what-follows-whole",
        file="processors/materialize/retention.py",
        old="key, following = without_identity(key), without_identity(following)",
        new="key = without_identity(key)",
        why="superseded rows of views with identity would be kept for ever",
        tests=(
            "tests/processors/materialize/test_retention.py::test_of_one_instant_the_rows_before_the_newest_go_and_each_is_as_old_as_its_time",
        ),
    ),
)
