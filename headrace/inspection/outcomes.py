"""What became of the records and rows of each view, summed over the processors that run.

Invariant: each count is one that a processor made since it started; nothing is left out, also no outcome that this
module has no words for.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from headrace.inspection.words import duration_words
from headrace.server_status import Outcomes
from schemas.definitions.plan import ViewPlan
from schemas.messages.updates import (
    DROPPED,
    EQUAL,
    FAILED,
    FUTURE,
    LATE,
    NEW,
    OFFLINE_ONLY,
    REPLACED,
    SUPERSEDED,
    UNKNOWN,
    WOULD_WRITE,
)

Counts = Mapping[str, Mapping[str, int]]
"""By view key and outcome."""

ORDER: Final = (WOULD_WRITE, NEW, REPLACED, EQUAL, SUPERSEDED, LATE, FUTURE, OFFLINE_ONLY, DROPPED, FAILED, UNKNOWN)
"""As they are shown; others follow."""

EXPLANATIONS: Final[Mapping[str, str]] = {
    REPLACED: "same join keys, timestamp and identity columns as an earlier event, which it replaces; only one counts",
    LATE: "older than the view's horizon when Kafka took them; kept in the offline log, counted in no feature",
    FUTURE: "later than when Kafka took them; they count as new or replaced, and are read once their time has come",
    OFFLINE_ONLY: "of views with online=False; in the offline log alone",
    UNKNOWN: "there already, as they were read again after a crash; they count once",
    DROPPED: "records of which the view's function returned nothing",
    FAILED: "records of which the view has no rows, as its function failed; they are dead letters",
}


def summed(every: Iterable[Outcomes], workspace: str) -> dict[str, dict[str, int]]:
    """Returns the counts of a workspace over several processors, by view key, sorted."""
    sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for outcomes in every:
        for view, counts in outcomes.get(workspace, {}).items():
            for outcome, count in counts.items():
                sums[view][outcome] += count
    return {view: dict(counts) for view, counts in sorted(sums.items())}


def lines(counts: Counts) -> tuple[list[str], list[list[object]]]:
    """Returns the heads and the rows of a table: views by outcome; only outcomes that some view has."""
    found = {name for each in counts.values() for name, count in each.items() if count}
    names = [*(name for name in ORDER if name in found), *sorted(found.difference(ORDER))]
    return ["view", *names], [[view, *(each.get(name, 0) for name in names)] for view, each in counts.items()]


def explanations(counts: Counts, views: Mapping[str, ViewPlan]) -> Sequence[str]:
    """Returns a sentence for each outcome that needs one and has happened; horizons where rows were late."""
    said = []
    for outcome, text in EXPLANATIONS.items():
        concerned = [view for view, each in counts.items() if each.get(outcome)]
        if concerned:
            said.append(f"{outcome}: {text}{_horizons(concerned, views) if outcome == LATE else ''}")
    return said


def _horizons(concerned: Sequence[str], views: Mapping[str, ViewPlan]) -> str:
    horizons = [(key, views[key].horizon) for key in concerned if key in views]
    told = ", ".join(f"{key} {duration_words(horizon)}" for key, horizon in horizons if horizon is not None)
    return f" (horizons: {told})" if told else ""
