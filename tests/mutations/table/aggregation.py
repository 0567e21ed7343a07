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
        name="count-greatest-tile",
        file="schemas/aggregation/partials.py",
        old=("return sum(partials)\n\n\n@dataclass(frozen=True, slots=True)\nclass IntSum"),
        new=("return max(partials)\n\n\n@dataclass(frozen=True, slots=True)\nclass IntSum"),
        why="a window's count would be that of its fullest tile",
        tests=("tests/schemas/aggregation/test_partials.py::test_the_lift_of_all_rows_is_any_merge_of_lifts",),
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
        name="int-sum-text-cannot-be-added",
        file="schemas/aggregation/partials.py",
        old="total = sum(map(int, partials))",
        new="total = int(partials[0])",
        why="a sum that went beyond 64 bits would forget the rest",
        tests=("tests/schemas/aggregation/test_partials.py::test_the_lift_of_all_rows_is_any_merge_of_lifts",),
    ),
    Mutation(
        name="float-sum-is-a-plain-one",
        file="schemas/aggregation/exact_sum.py",
        old=("    while rest:\n        terms.append(rest)"),
        new=("    if rest:\n        terms.append(rest)"),
        why="a sum would depend on the order in which events came",
        tests=("tests/schemas/aggregation/test_exact_sum.py::test_sum_and_mean_are_rounded_once",),
    ),
    Mutation(
        name="float-sum-inf-minus-inf",
        file="schemas/aggregation/exact_sum.py",
        old="if nans or (positive and negative):",
        new="if nans:",
        why="the sum of both infinities would be one of them",
        tests=("tests/schemas/aggregation/test_exact_sum.py::test_sum_and_mean_are_rounded_once",),
    ),
    Mutation(
        name="float-sum-overflow-sign",
        file="schemas/aggregation/exact_sum.py",
        old="return inf if Fraction(first) > 0 else -inf",
        new="return inf",
        why="a sum far below zero would be infinity",
        tests=("tests/schemas/aggregation/test_exact_sum.py::test_sum_and_mean_are_rounded_once",),
    ),
    Mutation(
        name="float-sum-nan-not-counted",
        file="schemas/aggregation/exact_sum.py",
        old=("return [counts, *total] if any(counts) else total\n\n\ndef merge"),
        new=("return [counts, *total] if counts[0] else total\n\n\ndef merge"),
        why="a sum with an infinity in it would be finite",
        tests=("tests/schemas/aggregation/test_exact_sum.py::test_sum_and_mean_are_rounded_once",),
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
        tests=("tests/schemas/aggregation/test_exact_sum.py::test_sum_and_mean_are_rounded_once",),
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
)
