"""What serving reads: plans, edges and windows."""

from typing import Final

from tests.mutations.mutation import Mutation

MUTATIONS: Final = (
    Mutation(
        name="edge-after-the-clock",
        file="serving/reads/read_plan.py",
        old="end = None if latest is None else min(latest, now)",
        new="end = latest",
        why="windows would end at an event with a wrong clock, and be empty",
        tests=(
            "tests/serving/reads/test_read_plan.py::test_windows_never_end_after_the_clock_however_far_ahead_the_latest_event_is",
        ),
    ),
    Mutation(
        name="edge-of-one-partition",
        file="serving/reads/read_plan.py",
        old="latest = _latest(read, opened.values())",
        new="latest = _latest(read, [partition])",
        why="two keys of one request would be read at different edges",
        tests=("tests/serving/reads/test_read_plan.py::test_the_latest_event_of_any_partition_is_the_edge_of_windows",),
    ),
    Mutation(
        name="edge-without-events-is-now",
        file="serving/reads/read_plan.py",
        old="end = None if latest is None else min(latest, now)",
        new="end = now if latest is None else min(latest, now)",
        why="a view without events would show a leading edge that it has not",
        tests=(
            "tests/serving/reads/test_read_plan.py::test_a_view_whose_only_event_is_ahead_of_its_log_time_has_no_latest_event",
        ),
    ),
    Mutation(
        name="read-another-views-rows",
        file="serving/reads/read_plan.py",
        old="if facts.digest != read.digest:  #",
        new="if facts.digest is None:  #",
        why="rows that another view left under an id would be served",
        tests=(
            "tests/serving/reads/test_read_plan.py::test_what_lies_under_the_id_of_a_view_that_was_not_taken_up_is_never_served",
        ),
    ),
    Mutation(
        name="read-one-key-for-all-views",
        file="serving/reads/read_plan.py",
        old="read.reader.read(partition.reader, encoded[read.key], end)",
        new="read.reader.read(partition.reader, encoded[0], end)",
        why="views of different join keys would be read by one of them",
        tests=("tests/serving/reads/test_read_plan.py::test_each_view_is_read_by_its_own_keys_from_its_own_partition",),
    ),
    Mutation(
        name="read-views-in-order-of-definition",
        file="serving/reads/read_plan.py",
        old="views = sorted((plan.views[key] for key in service.views), key=lambda view: view.name)",
        new="views = [plan.views[key] for key in service.views]",
        why="features would be in another order than clients of the API expect",
        tests=(
            "tests/serving/reads/test_read_plan.py::test_views_are_in_the_order_of_their_names_and_features_in_that_of_theirs",
        ),
    ),
    Mutation(
        name="attribute-served-at-the-end-of-its-ttl",
        file="serving/reads/views.py",
        old="edge >= time + self._view.ttl:",
        new="edge > time + self._view.ttl:",
        why="LOST comparison: a row would be served for a microsecond too long",
        tests=("tests/serving/reads/test_views.py::test_a_row_is_served_until_its_ttl_ends",),
    ),
    Mutation(
        name="attribute-at-the-edge-left-out",
        file="serving/reads/views.py",
        old="prefix + time_suffix(edge + 1))",
        new="prefix + time_suffix(edge))",
        why="the row of this very microsecond would not be served",
        tests=("tests/serving/reads/test_views.py::test_attribute_view_serves_the_newest_row_at_or_before_the_edge",),
    ),
    Mutation(
        name="effective-time-is-the-clock",
        file="serving/reads/views.py",
        old=("            edge = floor(edge, view.interval)\n"),
        new=("            pass\n"),
        why="effective times would be later than what was aggregated",
        tests=("tests/serving/reads/test_views.py::test_effective_time_of_aggregates_is_the_leading_edge",),
    ),
    Mutation(
        name="layout-of-an-older-edge",
        file="serving/reads/views.py",
        old="if latest is None or latest[0] != edge:",
        new="if latest is None:",
        why="each read would answer as the first one did",
        tests=("tests/serving/reads/test_views.py::test_a_reader_reads_at_each_edge_it_is_asked_for",),
    ),
    Mutation(
        name="layout-reads-twice",
        file="serving/reads/views.py",
        old="if resolution != known or start > reach:",
        new="if resolution != known or start >= reach:",
        why="LOST comparison: windows that touch would be read apart",
        tests=(
            "tests/serving/reads/test_views.py::test_windows_that_touch_or_overlap_in_part_are_read_as_one_and_keep_apart",
        ),
    ),
    Mutation(
        name="layout-span-not-grown",
        file="serving/reads/views.py",
        old=("        elif end > reach:\n"),
        new=("        elif end > reach + 10**18:\n"),
        why="a longer window would get the shorter one's tiles alone",
        tests=(
            "tests/serving/reads/test_views.py::test_windows_that_touch_or_overlap_in_part_are_read_as_one_and_keep_apart",
        ),
    ),
    Mutation(
        name="gather-one-tile-too-many",
        file="serving/reads/views.py",
        old="behind = bisect_left(content.keys, content.prefix + part.behind, first)",
        new="behind = bisect_left(content.keys, content.prefix + part.behind, first) + 1",
        why="a window would count the tile behind it",
        tests=(
            "tests/serving/reads/test_views.py::test_windows_that_touch_or_overlap_in_part_are_read_as_one_and_keep_apart",
        ),
    ),
    Mutation(
        name="rows-lifted-by-another-column",
        file="serving/reads/views.py",
        old="content.columns[self._columns[index]][first:behind]",
        new="content.columns[0][first:behind]",
        why="at its edges a window would aggregate another column",
        tests=("tests/processors/materialize/test_fold.py::test_every_read_equals_the_oracle",),
    ),
    Mutation(
        name="overflow-not-told-to-dialects",
        file="serving/reads/views.py",
        old=("                        beyond.append(feature.position)\n"),
        new=("                        pass\n"),
        why="a sum that does not fit would look like missing data",
        tests=("tests/serving/tecton/test_get_features.py::test_a_sum_that_no_int64_can_hold_is_missing_and_counted",),
    ),
    Mutation(
        name="reads-take-identity-for-time",
        file="serving/reads/views.py",
        old="without_identity(found[0]) if self._view.identity else found[0]",
        new="found[0]",
        why="the effective time of an attribute view, and its ttl, would be read from the identity",
        tests=("tests/serving/reads/test_views.py::test_of_one_instant_the_row_of_the_greatest_identity_is_served",),
    ),
    Mutation(
        name="reads-lose-the-order-of-an-instant",
        file="serving/reads/views.py",
        old="[key[at:] for key in keys] if self._view.identity else",
        new="",
        why="last(n) at the edge of a window could not be merged with what its tiles hold",
        tests=(
            "tests/serving/reads/test_views.py::test_last_n_has_events_of_one_instant_in_the_order_of_their_identity",
        ),
    ),
)
