"""The fold: rows to writes of online state."""

from typing import Final

from tests.mutations.mutation import Mutation

MUTATIONS: Final = (
    Mutation(
        name="fold-lower-version-wins",
        file="processors/materialize/fold.py",
        old="now, winner = version + body, values",
        new="now, winner = (version + body, values) if winner is None else (now, winner)",
        why="of two rows of one identity in a batch the older one would count",
        tests=(
            "tests/processors/materialize/test_fold.py::test_the_winner_of_one_batch_is_its_highest_version_and_the_rest_is_superseded",
        ),
    ),
    Mutation(
        name="fold-state-version-ignored",
        file="processors/materialize/fold.py",
        old="now[:VERSION_BYTES] >= version:",
        new="now[:VERSION_BYTES] == version:",
        why="an old row that is read again would replace its correction",
        tests=("tests/processors/materialize/test_fold.py::test_equal_resend_moves_the_version_alone",),
    ),
    Mutation(
        name="fold-horizon-takes-one-less",
        file="processors/materialize/fold.py",
        old="row.event_time < appended - horizon:",
        new="row.event_time <= appended - horizon:",
        why="an event exactly at the horizon, which a window can still hold, would be dropped as late",
        tests=("tests/processors/materialize/test_fold.py::test_a_row_past_the_horizon_changes_nothing_online",),
    ),
    Mutation(
        name="fold-watermark-follows-the-future",
        file="processors/materialize/fold.py",
        old="elif watermark is None or row.event_time > watermark:",
        new="if watermark is None or row.event_time > watermark:",
        why="one event with a wrong clock would move the edge of all windows into the future",
        tests=(
            "tests/processors/materialize/test_fold.py::test_watermark_is_the_greatest_event_time_not_later_than_its_own_log_time",
        ),
    ),
    Mutation(
        name="fold-watermark-goes-back",
        file="processors/materialize/fold.py",
        old="decode_number(before) < watermark:",
        new="decode_number(before) != watermark:",
        why="windows that end at the latest event would move back in time",
        tests=(
            "tests/processors/materialize/test_fold.py::test_watermark_is_the_greatest_event_time_not_later_than_its_own_log_time",
        ),
    ),
    Mutation(
        name="fold-watermark-dropped",
        file="processors/materialize/fold.py",
        old="out.writes[key] = encode(watermark)",
        new="del key",
        why="windows that end at the latest event would find nothing, and retention would keep everything",
        tests=(
            "tests/processors/materialize/test_fold.py::test_watermark_is_the_greatest_event_time_not_later_than_its_own_log_time",
        ),
    ),
    Mutation(
        name="fold-event-at-the-newest-counts-twice",
        file="processors/materialize/fold.py",
        old="for time, end, _ in rows if time <= newest]",
        new="for time, end, _ in rows if time < newest]",
        why="a resend of the newest event of a tile would count twice",
        tests=("tests/processors/materialize/test_fold.py::test_resent_event_replaces_and_never_counts_twice",),
    ),
    Mutation(
        name="fold-correction-counts-twice",
        file="processors/materialize/fold.py",
        old="                if before is None:\n                    new[tile_key]",
        new="                if before is None or before:\n                    new[tile_key]",
        why="a corrected event would be added beside what it replaces",
        tests=(
            "tests/processors/materialize/test_fold.py::test_a_changed_row_rebuilds_its_tile_together_with_new_rows_of_the_same_batch",
        ),
    ),
    Mutation(
        name="fold-equal-resend-counts-twice",
        file="processors/materialize/fold.py",
        old="now[VERSION_BYTES:] == before[VERSION_BYTES:]:",
        new="not before:",
        why="an event sent again unchanged would have its tile built again",
        tests=("tests/processors/materialize/test_fold.py::test_equal_resend_moves_the_version_alone",),
    ),
    Mutation(
        name="fold-finest-tile-forgets",
        file="processors/materialize/fold.py",
        old="encode(tile if known is None else self._merged([known, tile]))",
        new="encode(tile)",
        why="a tile would hold the rows of its latest batch alone",
        tests=("tests/processors/materialize/test_fold.py::test_state_is_the_same_whatever_the_batches",),
    ),
    Mutation(
        name="fold-coarse-tile-forgets",
        file="processors/materialize/fold.py",
        old="                    parts.append(known)",
        new="                    parts[:] = parts",
        why="a coarse tile would hold the rows of its latest batch alone",
        tests=("tests/processors/materialize/test_fold.py::test_state_is_the_same_whatever_the_order_of_arrival",),
    ),
    Mutation(
        name="fold-coarse-tiles-not-grown",
        file="processors/materialize/fold.py",
        old="for resolution in self.view.resolutions[1:]:",
        new="for resolution in self.view.resolutions[2:]:",
        why="long windows would miss the rows of one resolution",
        tests=(
            "tests/processors/materialize/test_fold.py::test_a_correction_reads_the_rows_of_one_finest_tile_and_the_tiles_within_each_coarser_one",
        ),
    ),
    Mutation(
        name="fold-tile-forgets-its-newest-event",
        file="processors/materialize/fold.py",
        old="merged: Tile = [max(newest)]",
        new="merged: Tile = [newest[0]]",
        why="a resend would be taken for a new event, and count twice",
        tests=("tests/processors/materialize/test_fold.py::test_state_is_the_same_whatever_the_batches",),
    ),
    Mutation(
        name="fold-rebuilt-tile-misses-the-batch",
        file="processors/materialize/fold.py",
        old=("rows.update((end, values) for end, values in fresh[key].items() if low <= end < high)"),
        new="del fresh",
        why="a correction would take its batch's other rows out of the tile",
        tests=(
            "tests/processors/materialize/test_fold.py::test_a_changed_row_rebuilds_its_tile_together_with_new_rows_of_the_same_batch",
        ),
    ),
    Mutation(
        name="fold-rebuilt-tile-takes-its-neighbours-row",
        file="processors/materialize/fold.py",
        old="if low <= end < high)",
        new="if low <= end <= high)",
        why="a corrected tile would count the first row of the next one as well",
        tests=("tests/processors/materialize/test_fold.py::test_a_corrected_tile_takes_no_row_of_its_neighbours",),
    ),
    Mutation(
        name="fold-coarse-tile-rebuilt-from-stale-ones",
        file="processors/materialize/fold.py",
        old="changed = out.writes.get(tiles + tile_suffix(finer, each))",
        new="changed = None",
        why="a correction would show in short windows and not in long ones",
        tests=(
            "tests/processors/materialize/test_fold.py::test_a_correction_reads_the_rows_of_one_finest_tile_and_the_tiles_within_each_coarser_one",
        ),
    ),
    Mutation(
        name="fold-next-offset-stands-still",
        file="processors/materialize/fold.py",
        old="out.writes[NEXT_OFFSET] = encode(next_offset)",
        new="out.writes[NEXT_OFFSET] = encode(next_offset - 1)",
        why="each restart would take the last batch once more",
        tests=("tests/processors/materialize/test_fold.py::test_an_empty_batch_moves_the_offset",),
    ),
    Mutation(
        name="fold-identity-left-out",
        file="processors/materialize/fold.py",
        old="end += encode_identity([row.values[column] for column in identity])",
        new="end += encode_identity([])",
        why="events of one instant would replace one another, whatever their source has to tell them apart",
        tests=(
            "tests/processors/materialize/test_fold.py::test_events_of_one_instant_that_an_identity_tells_apart_all_count_and_each_replaces_itself_alone",
        ),
    ),
    Mutation(
        name="fold-moments-without-identity",
        file="processors/materialize/fold.py",
        old="[end for _, end, _ in rows] if self._identity else times",
        new="times",
        why="the order of events of one instant in last(n) would be that of their batches",
        tests=(
            "tests/processors/materialize/test_fold.py::test_stored_bytes_of_a_view_with_identity_are_as_documented",
        ),
    ),
    Mutation(
        name="fold-rebuilt-tile-takes-one-event-of-an-instant",
        file="processors/materialize/fold.py",
        old="rows = {k[len(prefix) :]: decode_row",
        new="rows = {k[len(prefix) :][:TIME_BYTES]: decode_row",
        why="a correction would take the other events of its instant out of the tile, or count itself twice",
        tests=(
            "tests/processors/materialize/test_fold.py::test_a_rebuilt_tile_takes_every_event_of_an_instant_also_of_its_own_batch",
        ),
    ),
    Mutation(
        name="fold-read-again-equal",
        file="processors/materialize/fold.py",
        old="UNKNOWN if now[:VERSION_BYTES] == version else SUPERSEDED",
        new="EQUAL if now[:VERSION_BYTES] == version else SUPERSEDED",
        why="after a crash a caller would be told that an event that is new was there before",
        tests=(
            "tests/processors/materialize/test_fold.py::test_of_a_row_that_is_read_again_it_is_unknown_what_became_of_it",
        ),
    ),
)
