"""The aggregate functions and their partials."""

from typing import Final

from tests.mutations.mutation import Mutation

MUTATIONS: Final = (
    Mutation(
        name="count-nulls",
        file="schemas/aggregation/partials.py",
        old="return len(values) - values.count(None)",
        new="return len(values)",
        why="count would count nulls",
        tests=("tests/schemas/aggregation/test_functions.py::test_values",),
    ),
    Mutation(
        name="int-sum-leaves-64-bits",
        file="schemas/aggregation/partials.py",
        old="return total if INT64_MIN <= total <= INT64_MAX else str(total)",
        new="return total",
        why="a sum beyond 64 bits could not be stored",
        tests=("tests/schemas/aggregation/test_partials.py::test_the_lift_of_all_rows_is_any_merge_of_lifts",),
    ),
    Mutation(
        name="int-sum-lost-comparison",
        file="schemas/aggregation/partials.py",
        old="INT64_MIN <= total <= INT64_MAX else",
        new="INT64_MIN <= total < INT64_MAX else",
        why="LOST comparison: the greatest sum of 64 bits would be served as null",
        tests=(
            "tests/schemas/aggregation/test_partials.py::test_a_sum_of_integers_beyond_64_bits_is_text_and_comes_back",
        ),
    ),
    Mutation(
        name="float-sum-is-a-plain-one",
        file="schemas/aggregation/exact_sum.py",
        old=("    while rest:\n        terms.append(rest)"),
        new=("    if rest:\n        terms.append(rest)"),
        why="a sum would depend on the order in which events came",
        tests=(
            "tests/schemas/aggregation/test_exact_sum.py::test_partials_are_equal_however_values_are_grouped_and_ordered",
        ),
    ),
    Mutation(
        name="float-sum-inf-minus-inf",
        file="schemas/aggregation/exact_sum.py",
        old="if nans or (positive and negative):",
        new="if nans:",
        why="the sum of both infinities would be one of them",
        tests=(
            "tests/schemas/aggregation/test_exact_sum.py::test_infinities_and_nan_add_as_ieee_754_says_and_keep_the_finite_part",
        ),
    ),
    Mutation(
        name="float-sum-merge-forgets-counts",
        file="schemas/aggregation/exact_sum.py",
        old="counts = [a + b for a, b in zip(counts, partial[0], strict=True)]",
        new="counts = list(partial[0])",
        why="a NaN in one tile would vanish behind an infinity in another",
        tests=(
            "tests/schemas/aggregation/test_exact_sum.py::test_partials_are_equal_however_values_are_grouped_and_ordered",
        ),
    ),
    Mutation(
        name="mean-rounded-twice",
        file="schemas/aggregation/exact_sum.py",
        old="if len(partial) == 1 and isinstance(partial[0], float):",
        new="if isinstance(partial[0], float):",
        why="a mean would not be the correctly rounded one",
        tests=("tests/schemas/aggregation/test_exact_sum.py::test_mean_of_several_terms_is_not_rounded_twice",),
    ),
    Mutation(
        name="min-is-max",
        file="schemas/aggregation/functions.py",
        old='{"min": min, "max": max}[name]',
        new='{"min": max, "max": min}[name]',
        why="min would serve the maximum",
        tests=("tests/schemas/aggregation/test_functions.py::test_values",),
    ),
    Mutation(
        name="extreme-nan-not-greatest",
        file="schemas/aggregation/partials.py",
        old="return (isnan(value), 0.0 if isnan(value) else value,",
        new="return (False, 0.0 if isnan(value) else value,",
        why="max of a NaN and a number would be the number",
        tests=("tests/schemas/aggregation/test_partials.py::test_nan_is_greater_than_every_number",),
    ),
    Mutation(
        name="extreme-zeros-alike",
        file="schemas/aggregation/partials.py",
        old="else value, copysign(1.0, value))",
        new="else value, 0.0)",
        why="min of 0.0 and -0.0 would depend on their order",
        tests=("tests/schemas/aggregation/test_partials.py::test_minus_zero_is_less_than_zero",),
    ),
    Mutation(
        name="extreme-first-nan-shows",
        file="schemas/aggregation/partials.py",
        old="return [nan if isnan(best) else best]",
        new="return [best]",
        why="the bits of a NaN would depend on the order of events",
        tests=("tests/schemas/aggregation/test_partials.py::test_all_nans_are_one",),
    ),
    Mutation(
        name="last-keeps-the-oldest",
        file="schemas/aggregation/partials.py",
        old="for pair in pairs[-self.n :]",
        new="for pair in pairs[: self.n]",
        why="last would serve the oldest values",
        tests=("tests/schemas/aggregation/test_partials.py::test_the_lift_of_all_rows_is_any_merge_of_lifts",),
    ),
    Mutation(
        name="last-merge-never-sorts",
        file="schemas/aggregation/partials.py",
        old="if all(earlier[-2] < later[0] for earlier, later in pairwise(ordered)):",
        new="if ordered:",
        why="values of tiles that overlap would be in the wrong order",
        tests=("tests/schemas/aggregation/test_partials.py::test_the_lift_of_all_rows_is_any_merge_of_lifts",),
    ),
    Mutation(
        name="last-null-hides-a-value",
        file="schemas/aggregation/partials.py",
        old="for time, value in zip(times, values, strict=True) if value is not None])",
        new="for time, value in zip(times, values, strict=True)])",
        why="a null would take the place of the last value",
        tests=(
            "tests/schemas/aggregation/test_partials.py::test_last_keeps_the_newest_values_that_are_not_null_oldest_first",
        ),
    ),
    Mutation(
        name="sum-of-zeros-is-null",
        file="schemas/aggregation/functions.py",
        old=("        if not count:\n            return None\n        if isinstance(total, str):"),
        new=("        if not total:\n            return None\n        if isinstance(total, str):"),
        why="a sum of 0 would be served as missing",
        tests=("tests/schemas/aggregation/test_functions.py::test_a_sum_of_nothing_but_zeros_is_zero_and_not_missing",),
    ),
    Mutation(
        name="mean-of-nulls-divides-by-zero",
        file="schemas/aggregation/functions.py",
        old=("        if not count:\n            return None\n        return exact_sum.finish_mean"),
        new="        return exact_sum.finish_mean",
        why="a window of nulls would fail the whole request",
        tests=("tests/schemas/aggregation/test_functions.py::test_nothing_but_nulls_is_null",),
    ),
    Mutation(
        name="out-of-range-not-told",
        file="schemas/aggregation/functions.py",
        old="return any(isinstance(partial, str) for partial in partials)",
        new="return all(isinstance(partial, str) for partial in partials)",
        why="a null for an overflow would look like missing data",
        tests=("tests/schemas/aggregation/test_functions.py::test_a_sum_that_does_not_fit_in_64_bits_is_null",),
    ),
)
