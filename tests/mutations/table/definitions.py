"""What compiles, what may change, and what is removed."""

from typing import Final

from tests.mutations.mutation import Mutation

MUTATIONS: Final = (
    Mutation(
        name="compile-horizon-without-its-tile",
        file="schemas/definitions/compile.py",
        old=" + resolutions[-1] + grace if resolutions",
        new=" + grace if resolutions",
        why="an event could arrive for a tile that retention has taken away",
        tests=("tests/schemas/definitions/test_compile.py::test_a_tiled_view_compiles",),
    ),
    Mutation(
        name="compile-horizon-without-offset",
        file="schemas/definitions/compile.py",
        old="max(f.window + f.offset for f in features)",
        new="max(f.window for f in features)",
        why="a window with an offset would reach behind the horizon",
        tests=("tests/schemas/definitions/test_compile.py::test_a_tiled_view_compiles",),
    ),
    Mutation(
        name="compile-window-not-of-whole-tiles",
        file="schemas/definitions/compile.py",
        old="if interval and extent % interval:",
        new="if interval and extent % 1:",
        why="a window would begin in the middle of a tile",
        tests=(
            "tests/schemas/definitions/test_compile.py::test_a_view_that_cannot_run_names_file_line_object_and_remedy",
        ),
    ),
    Mutation(
        name="compile-two-features-of-one-name",
        file="schemas/definitions/compile.py",
        old="if names.count(name) > 1:",
        new="if names.count(name) > 2:",
        why="one of two features would hide the other",
        tests=(
            "tests/schemas/definitions/test_compile.py::test_a_view_that_cannot_run_names_file_line_object_and_remedy",
        ),
    ),
    Mutation(
        name="compile-service-of-an-offline-view",
        file="schemas/definitions/compile.py",
        old=("        if not view.online:\n            raise"),
        new=("        if view.online is None:\n            raise"),
        why="a service would answer with nothing, for ever",
        tests=(
            "tests/schemas/definitions/test_compile.py::test_a_service_that_cannot_serve_names_file_line_object_and_remedy",
        ),
    ),
    Mutation(
        name="compile-one-key-of-two-types",
        file="schemas/definitions/plan.py",
        old=("            if known != dtype:\n                raise"),
        new=("            if known is None:\n                raise"),
        why="apply would take a service that serving can never answer",
        tests=(
            "tests/schemas/definitions/test_compile.py::test_a_service_whose_views_give_one_join_key_two_types_is_refused",
        ),
    ),
    Mutation(
        name="compile-join-key-of-another-type",
        file="schemas/definitions/compile.py",
        old=("                if known.dtype != key.dtype:\n"),
        new=("                if known.dtype is None:\n"),
        why="rows and requests would encode one key in two ways",
        tests=(
            "tests/schemas/definitions/test_compile.py::test_a_view_that_cannot_run_names_file_line_object_and_remedy",
        ),
    ),
    Mutation(
        name="compile-tile-budget-ignored",
        file="schemas/definitions/compile.py",
        old=("        if too_large is not None:\n"),
        new=('        if too_large == "":\n'),
        why="a tile could outgrow what is read for each event",
        tests=(
            "tests/schemas/definitions/test_tile_budget.py::test_a_view_whose_tiles_could_hold_no_texts_of_use_is_refused",
        ),
    ),
    Mutation(
        name="compile-source-that-grows-changes-views",
        file="schemas/definitions/compile.py",
        old="elif self._applied is None or self._applied.is_aggregate:",
        new="elif self._applied is not self:",
        why="adding a field to a source would be refused until each view has a new version",
        tests=(
            "tests/schemas/definitions/test_compile.py::test_a_source_that_grows_changes_no_attribute_view_that_was_applied",
        ),
    ),
    Mutation(
        name="compile-partials-not-shared",
        file="schemas/definitions/compile.py",
        old="return (partial.column, partial.kind, ",
        new='return (partial.column, f"{partial.kind}{id(partial)}", ',
        why="each feature would have tiles of its own",
        tests=("tests/schemas/definitions/test_compile.py::test_aggregates_of_one_column_share_partials",),
    ),
    Mutation(
        name="compile-partials-as-written",
        file="schemas/definitions/compile.py",
        old="enumerate(sorted(by_text))",
        new="enumerate(by_text)",
        why="swapping two lines of a definition would be a change of the view",
        tests=("tests/schemas/definitions/test_compile.py::test_the_order_of_a_definitions_lines_changes_nothing",),
    ),
    Mutation(
        name="tile-budget-lost-comparison",
        file="schemas/definitions/tile_budget.py",
        old=("    if text_limit(view) >= least:\n"),
        new=("    if text_limit(view) > least:\n"),
        why="LOST comparison: a view that just fits would be refused",
        tests=("tests/schemas/definitions/test_tile_budget.py::test_texts_of_the_least_length_of_use_are_still_taken",),
    ),
    Mutation(
        name="changes-code-does-not-count",
        file="schemas/definitions/changes.py",
        old='("id",)',
        new='("id", "code")',
        why="a function could change under rows that are stored",
        tests=("tests/schemas/definitions/test_changes.py::test_an_applied_version_never_changes_in_place",),
    ),
    Mutation(
        name="changes-required-field-added",
        file="schemas/definitions/changes.py",
        old=("required = [column.name for column in new.columns if column.name not in known and column.required]"),
        new="required: list[str] = []",
        why="running producers would be refused from one moment to the next",
        tests=("tests/schemas/definitions/test_changes.py::test_a_source_only_grows_optional_fields",),
    ),
    Mutation(
        name="changes-field-of-another-type",
        file="schemas/definitions/changes.py",
        old="if kept.get(name) != known[name]]",
        new="if name not in kept]",
        why="stored records would mean something else",
        tests=("tests/schemas/definitions/test_changes.py::test_a_source_only_grows_optional_fields",),
    ),
    Mutation(
        name="changes-another-definition-takes-the-state",
        file="schemas/definitions/changes.py",
        old="if applied is None and retired is not None and not _differing(retired.view, view):",
        new="if applied is None and retired is not None:",
        why="a view would be served rows that another definition made",
        tests=(
            "tests/schemas/definitions/test_changes.py::test_another_definition_of_a_retired_view_is_refused_unless_the_old_one_ends",
        ),
    ),
    Mutation(
        name="changes-removed-view-ends-at-once",
        file="schemas/definitions/changes.py",
        old=("    for key, view in current.views.items():\n        if key not in new.views:\n            retired"),
        new=("    for key, view in current.views.items():\n        if key in new.retired:\n            retired"),
        why="one wrong apply would delete the online state of what it leaves out",
        tests=("tests/schemas/definitions/test_changes.py::test_a_removed_view_is_retired_with_all_that_it_runs_from",),
    ),
    Mutation(
        name="changes-removal-not-told",
        file="schemas/definitions/changes.py",
        old=("    if wanted is None:\n        kept = new.retired.get(key)\n        features"),
        new=("    if wanted is None and key in new.retired:\n        kept = new.retired.get(key)\n        features"),
        why="a removal would need nobody's consent",
        tests=("tests/schemas/definitions/test_changes.py::test_what_is_left_out_is_removed",),
    ),
    Mutation(
        name="plan-end-of-another-retirement",
        file="schemas/definitions/fold.py",
        old="if self._ended.get(each.view.id) == each.since]",
        new="if each.view.id in self._ended]",
        why="a view that was removed a second time would end at once",
        tests=("tests/schemas/definitions/test_fold.py::test_an_end_means_one_retirement_and_no_view_in_force",),
    ),
    Mutation(
        name="plan-digest-of-an-id",
        file="schemas/definitions/plan.py",
        old="_SORTED.encode(msgspec.structs.replace(view, id=-1))",
        new="_SORTED.encode(view)",
        why="a digest would say nothing about what an id stands for",
        tests=("tests/schemas/definitions/test_plan.py::test_a_digest_is_of_all_of_a_view_but_its_id",),
    ),
)
