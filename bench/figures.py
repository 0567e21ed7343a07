"""What a benchmark hands back: figures with their targets, and tables.

Invariant: a figure is the median of its runs, and shows the least and the greatest of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from statistics import median


class Extent(Enum):
    """How much of a benchmark is run."""

    STANDARD = auto()
    """What ``make bench`` runs: all benchmarks together take at most 20 minutes."""
    FULL = auto()
    """What ``make bench-full`` runs."""


@dataclass(frozen=True, slots=True)
class AtLeast:
    """A target that a figure must reach."""

    bound: float
    sign = "≥"

    def met_by(self, value: float) -> bool:
        """Tells whether a value reaches it."""
        return value >= self.bound


@dataclass(frozen=True, slots=True)
class AtMost:
    """A target that a figure must not exceed."""

    bound: float
    sign = "≤"

    def met_by(self, value: float) -> bool:
        """Tells whether a value keeps to it."""
        return value <= self.bound


Target = AtLeast | AtMost


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity.

    Attributes:
        name: what was measured, unique among all benchmarks.
        runs: its value in each run, at least one.
        unit: of the values.
        target: None where there is none.
    """

    name: str
    runs: Sequence[float]
    unit: str
    target: Target | None = None

    @property
    def value(self) -> float:
        """The median of the runs."""
        return median(self.runs)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        return None if self.target is None else self.target.met_by(self.value)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text beside the figures; the first column is on the left, the others on the right."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Results:
    """All that one benchmark found; ``notes`` are sentences about how it was run."""

    figures: Sequence[Figure]
    notes: str = ""
    tables: Sequence[Table] = ()


def percentile(values: Sequence[float], percent: float) -> float:
    """Returns the smallest value that at least ``percent`` of all values do not exceed (nearest rank).

    Args:
        values: at least one, in any order.
        percent: above 0, at most 100.
    """
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(int(rank), 1) - 1]
